package rfc2822

import (
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestIsEmail runs the isemail collection: what it calls an error is refused,
// everything else is read, also what is merely deprecated or odd.
func TestIsEmail(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "isemail", "tests.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var tests struct {
		Test []struct {
			ID        int    `xml:"id,attr"`
			Address   string `xml:"address"`
			Category  string `xml:"category"`
			Diagnosis string `xml:"diagnosis"`
		} `xml:"test"`
	}
	if err := xml.Unmarshal(raw, &tests); err != nil {
		t.Fatal(err)
	}
	// What we do otherwise: a control character, even escaped, would break out of
	// a line of SMTP or show as something else.
	refused := map[int]string{58: "escaped NUL", 115: "escaped BEL in a domain literal", 116: "escaped tab in a domain literal", 124: "DEL", 125: "escaped DEL",
		134: "escaped LF", 138: "BEL", 139: "escaped BEL"}
	for _, tt := range tests.Test {
		in := strings.Map(func(c rune) rune {
			if c >= 0x2400 && c < 0x2421 {
				return c - 0x2400
			}
			return c
		}, tt.Address)
		_, err := ParseAddrSpec(in)
		want := tt.Category != "ISEMAIL_ERR" && refused[tt.ID] == ""
		if got := err == nil; got != want {
			t.Errorf("#%d %q: %s, but %v", tt.ID, in, tt.Diagnosis, err)
		}
	}
	if len(tests.Test) < 160 {
		t.Errorf("only %d tests", len(tests.Test))
	}
}

func TestParseAddress(t *testing.T) {
	tests := []struct{ in, name, addr, canonical string }{
		{"a@b.example", "", "a@b.example", "a@b.example"},
		{"<a@b.example>", "", "a@b.example", "a@b.example"},
		{"Ada <a@b>", "Ada", "a@b", "Ada <a@b>"},
		{"Ada L. Byron <a@b>", "Ada L. Byron", "a@b", `"Ada L. Byron" <a@b>`},
		{`"Byron, Ada" <a@b>`, "Byron, Ada", "a@b", `"Byron, Ada" <a@b>`},
		{`"a \"b\" c" <a@b>`, `a "b" c`, "a@b", `"a \"b\" c" <a@b>`},
		{"=?utf-8?q?J=C3=BCrgen?= <j@b>", "Jürgen", "j@b", "=?utf-8?q?J=C3=BCrgen?= <j@b>"},
		{"Jürgen <jürgen@bücher.example>", "Jürgen", "jürgen@bücher.example", "=?utf-8?q?J=C3=BCrgen?= <jürgen@bücher.example>"},
		{"a@b (Ada)", "Ada", "a@b", "Ada <a@b>"},
		{"(first) a(x)@(y)b (Ada (L.))", "Ada (L.)", "a@b", `"Ada (L.)" <a@b>`},
		{`"quoted local"@b`, "", `"quoted local"@b`, `"quoted local"@b`},
		{`"plain"@b`, "", "plain@b", "plain@b"},
		{`a."b c".d@e`, "", `"a.b c.d"@e`, `"a.b c.d"@e`},
		{"a . b @ c . d", "", "a.b@c.d", "a.b@c.d"},
		{"a@[192.0.2.1]", "", "a@[192.0.2.1]", "a@[192.0.2.1]"},
		{"a@[IPv6:2001:db8::1]", "", "a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"},
		{"<@x,@y:a@b>", "", "a@b", "a@b"},
		{"Ada\r\n <a@b>", "Ada", "a@b", "Ada <a@b>"},
	}
	for _, tt := range tests {
		a, err := ParseAddress(tt.in)
		if err != nil || a.Name != tt.name || a.Addr() != tt.addr || a.String() != tt.canonical {
			t.Errorf("%q: %+v %q %q, %v", tt.in, a, a.Addr(), a.String(), err)
			continue
		}
		again, err := ParseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("%q: reads back as %+v, %v", a.String(), again, err)
		}
	}
	refused := []struct {
		in string
		at int
	}{
		{"", 0}, {"   ", 3}, {"a", 1}, {"a@", 2}, {"@b", 0}, {"a@b c@d", 4}, {"a b@c", 2}, {"Ada <a@b", 4}, {"Ada <a@b> x", 10},
		{"a..b@c", 2}, {".a@b", 0}, {"a.@b", 2}, {"a@b.", 4}, {"a@b..c", 4}, {`"a@b`, 0}, {"a@[1", 2}, {"a@[1\\", 4}, {"a@b (x", 4}, {"a@-b", 2}, {"<a@b>>", 5}, {"<<a@b>", 1},
		{"a@b\n", 3}, {"a@b\r\n", 3}, {"\xff@b", 0}, {"a@b\xff", 3}, {"\"\x00\"@b", 1}, {"<@x a@b>", 4}, {"<@:a@b>", 2}, {"a@b, c@d", 3}, {"<>", 1}, {"a\x00@b", 1},
	}
	for _, tt := range refused {
		a, err := ParseAddress(tt.in)
		var e *AddressError
		if !errors.As(err, &e) || e.Offset != tt.at || e.Reason == "" {
			t.Errorf("%q: %+v, %v; want an error at %d", tt.in, a, err, tt.at)
		}
	}
	if (Address{}).Addr() != "" {
		t.Error("the zero address")
	}
}

func addrs(list []Address) string {
	var out []string
	for _, a := range list {
		s := a.Addr()
		if a.Name != "" {
			s = a.Name + "|" + s
		}
		if a.Group != "" {
			s = a.Group + ":" + s
		}
		out = append(out, s)
	}
	return strings.Join(out, " ; ")
}

func TestAddressLists(t *testing.T) {
	tests := []struct {
		in, want string
		bad      int // entries tolerant reading finds bad; strict reading refuses if strict
		strict   bool
	}{
		{"a@b, C <c@d>", "a@b ; C|c@d", 0, false},
		{"a@b,, ,c@d,", "a@b ; c@d", 0, false},
		{"undisclosed-recipients:;", "", 0, false},
		{"Team: a@b, C <c@d>;, e@f", "Team:a@b ; Team:C|c@d ; e@f", 0, false},
		{"Team: a@b; e@f", "Team:a@b ; e@f", 0, true},
		{"Team: a@b;, Other: c@d;", "Team:a@b ; Other:c@d", 0, false},
		{"", "", 0, true},
		{"a@b, broken, c@d", "a@b ; broken ; c@d", 1, true},
		{"a@b; c@d", "a@b ; c@d", 0, true},
		{"Smith, John <j@x>, b@c", "Smith, John|j@x ; b@c", 1, true},
		{"'me@x' <me@x>", "me@x|me@x", 0, true},
		{"John @ Work <j@x>, b@c", "John @ Work|j@x ; b@c", 0, true},
		{"<a..b@docomo.example>, .x@y, x.@y", `"a..b"@docomo.example ; ".x"@y ; "x."@y`, 0, true},
		{"<<a@b>>, <c@d, e@f", "a@b ; c@d ; e@f", 0, true},
		{`"open <a@b>, c@d`, `open|a@b ; c@d`, 0, true},
		{"a@b c@d, e@f", "a@b ; c@d ; e@f", 0, true},
		{"A <a@b> C <c@d> e@f", "A|a@b ; C|c@d ; e@f", 0, true},
		{"A <a@b> rubbish, e@f", "A|a@b ; rubbish ; e@f", 1, true},
		{`a"b"c. d."e" <a@b>`, "abc. d.e|a@b", 0, false},
		{"(open a@b, c@d", "c@d", 1, true},
		{"a@b., c@[1 2]", "a@b ; c@[12]", 0, true},
		{"Team: a@b, c@d", "Team:a@b ; Team:c@d", 0, true},
		{"=?utf-8?q?a=2Cb?= <a@b>", "a,b|a@b", 0, false},
		{"Caf\xe9 <a@b>", "Café|a@b", 0, true},
		{"<a@b", "a@b", 0, true},
		{"Ada Byron ada@x, b@c", "Ada Byron|ada@x ; b@c", 0, true},
		{"G: Ada ada@x; nobody here", "G:Ada|ada@x", 1, true},
		{"@, @x, <@y>, a@b", "a@b", 3, true},
		{"a@\x00b, c@d", "c@d", 1, true},
	}
	for _, tt := range tests {
		got, bad := ReadAddressList(tt.in)
		if addrs(got) != tt.want || len(bad) != tt.bad {
			t.Errorf("%q: %q, bad %v\nwant %q", tt.in, addrs(got), bad, tt.want)
		}
		list, err := ParseAddressList(tt.in)
		if (err != nil) != tt.strict || err == nil && addrs(list) != tt.want {
			t.Errorf("strict %q: %q, %v", tt.in, addrs(list), err)
		}
		if err != nil {
			continue
		}
		if again, err := ParseAddressList(FormatAddressList(list)); len(list) > 0 && (err != nil || addrs(again) != tt.want) {
			t.Errorf("%q is written as %q: %v", tt.in, FormatAddressList(list), err)
		}
	}
}

// TestAddressFile: addresses that real programs wrote, one list a line.
func TestAddressFile(t *testing.T) {
	want := []string{"", "A|a@b.com", "", "Foo Bar|foo@bar.com", "foo@bar.com", "Foo|foo@bar.com", "Cron Daemon|root"}
	for i, line := range lines(t, "addresses-broken.txt") {
		if got, _ := ReadAddressList(line); i >= len(want) || addrs(got) != want[i] {
			t.Errorf("%s: %q", line, addrs(got))
		}
	}
}

// TestAddressRepairs: what is kept of a broken list, and how much is told of it. What is
// given out is never a piece of a longer address.
func TestAddressRepairs(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		bad      int
	}{
		{"a@b..com, c@d", "c@d", 1},
		{"<a@b..com>, c@d", "c@d", 1},
		{"a@b@c, c@d", "c@d", 1},
		{"A <a@b@c>, c@d", "c@d", 1},
		{"<x@y.in-\x14erlin.de>, c@d", "c@d", 1},
		{"a@b\x01c, c@d", "c@d", 1},
		{"a@-b, c@d", "c@d", 1},
		{"a@b-, c@d-.e, f@-g.h, i@j-k", "i@j-k", 3},
		{"a@[192.0.2.1]x, c@d", "c@d", 1},
		{"a@b!c@d, c@d", "c@d", 1},
		{"a@b:25, c@d", "c@d", 1},
		{"a@b/c, a@b\\c, a@b\"c, d", "a@b/c ; d", 3},
		{"a@b., <c@d.>, e@f.(g)", "a@b ; c@d ; e@f", 0},
		{"a@b.\tc, d", "a@b.c ; d", 1},
		{`"Foo Bar" foo@bar.com, c@d`, "Foo Bar|foo@bar.com ; c@d", 0},
		{`"Bar, Foo" foo@bar.com`, "Bar, Foo|foo@bar.com", 0},
		{`"a \"b\" c" a@b`, `a "b" c|a@b`, 0},
		{`Foo "Bar" foo@bar.com (x)`, "Foo Bar|foo@bar.com", 0},
		{"=?utf-8?q?F=C3=B6?= f@b", "Fö|f@b", 0},
		{`"open foo@bar.com, c@d`, "c@d", 1},
		{`foo "a b"@c, d@e`, `foo|"a b"@c ; d@e`, 0},
		{"foo a@b..c, d@e", "d@e", 1},
		{"<mailto:a@b>, mailto:c@d, MAILTO:e@f, G <mailto:g@h>, <<mailto:i@j>>", "a@b ; c@d ; e@f ; G|g@h ; i@j", 0},
		{"mailto:, a@b", "a@b", 1},
		{"foo@bar.com (Foo, c@d", "Foo|foo@bar.com ; c@d", 0},
		{"foo@bar.com (Foo (x), c@d", "Foo (x)|foo@bar.com ; c@d", 0},
		{"foo@bar.com (", "foo@bar.com", 0},
		{"<foo@bar.com> (Foo, c@d", "c@d", 1},
		{"root", "root", 1},
		{"Cron Daemon <root>, <www-data>", "Cron Daemon|root ; www-data", 2},
		{"root (Charlie Root), a.b", "root ; a.b", 2},
		{"G: root, a@b; daemon", "G:root ; G:a@b ; daemon", 2},
		{"two words, a..b, .a, b., =?x?q?y?=, \"q\", <>, <a b>, <a, c@d", "c@d", 9},
		{"\xff, \x00, a@b", "a@b", 2},
		{"Worthington, Warren <w@x>", "Worthington, Warren|w@x", 1},
		{"a@b, Byron, Ada, Countess <ada@x>, c@d", "a@b ; Byron, Ada, Countess|ada@x ; c@d", 1},
		{"a, b, c, d <d@x>", "a ; b, c, d|d@x", 2},
		{"G: Byron, Ada <ada@x>;", "G:Byron, Ada|ada@x", 1},
		{"Byron, Ada <root>", "Byron, Ada|root", 2},
		{"Byron, Ada <ada@x..y>, c@d", "Byron ; c@d", 2},
		{"Byron, ada@x", "Byron ; ada@x", 1},
		{"Byron; Ada <ada@x>", "Byron ; Ada|ada@x", 1},
		{"B" + strings.Repeat("y", 200) + ", Ada <ada@x>", "B" + strings.Repeat("y", 200) + " ; Ada|ada@x", 1},
	} {
		got, bad := ReadAddressList(tt.in)
		if addrs(got) != tt.want || len(bad) != tt.bad {
			t.Errorf("%q: %q, bad %v\nwant %q, %d bad", tt.in, addrs(got), bad, tt.want, tt.bad)
		}
		for i, e := range bad {
			if e.Offset < 0 || e.Offset > len(tt.in) || e.Reason == "" {
				t.Errorf("%q: error %d is %+v", tt.in, i, e)
			}
		}
		if _, err := ParseAddressList(tt.in); err == nil {
			t.Errorf("%q is read strictly", tt.in)
		}
	}
	if a := (Address{Local: "a b"}); a.Addr() != `"a b"` || a.String() != `"a b"` {
		t.Error(a)
	}
}

// TestAddressReadsAgain: an address that was made out of whatever is written so that
// strict reading takes it. The octets of real addresses are changed one at a time.
func TestAddressReadsAgain(t *testing.T) {
	n := 0
	for _, s := range []string{"Ada Byron <ada@mail.example>, b@c", `"Byron, A." <"a b"@x.in-berlin.de> (c)`, "G: a@[192.0.2.1], (x) d.e@f-g.h;", "Byron, Ada <mailto:ada@x.y> c@d", "=?utf-8?q?J=C3=BC?= j@b\u00fc.example"} {
		for i := range len(s) {
			for _, c := range []byte(".-@,;:<>()[]\"\\ \x00\x14\x80\xffa=?\r\n\t") {
				for _, in := range []string{s[:i] + string([]byte{c}) + s[i+1:], s[:i] + string([]byte{c}) + s[i:]} {
					list, _ := ReadAddressList(in)
					for _, a := range list {
						n++
						again, err := ParseAddress(a.String())
						if a.Domain != "" && (err != nil || again.Addr() != a.Addr()) {
							t.Errorf("%q gives %+v, written as %q: %+v, %v", in, a, a.String(), again, err)
						}
					}
				}
			}
		}
	}
	if n < 5000 {
		t.Error("only", n)
	}
}

// TestAddressWork: repairing costs no quadratic time.
func TestAddressWork(t *testing.T) {
	for _, s := range []string{"(,", `",`, "<,", `a"(,`, "=?,", "a ", "a@b,", "(", "\"\\", "x:;", "<@a:", "a@b(c),", "=?a?q?x", "[", "a@[", "a.", "\"a\"", "a\"\"", "a@b ", "<a@b>"} {
		in := strings.Repeat(s, 100000)
		ReadAddressList(in) // a quadratic one would take minutes
		_, _ = ParseAddressList(in)
	}
}

func TestIDN(t *testing.T) {
	a, err := ParseAddress("info@Bücher.example")
	if err != nil {
		t.Fatal(err)
	}
	if a, err = a.ASCII(); err != nil || a.Addr() != "info@xn--bcher-kva.example" {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := (Address{Local: "jürgen", Domain: "b"}).ASCII(); !errors.Is(err, ErrNotASCII) {
		t.Error(err)
	}
	if _, err := (Address{Local: "a", Domain: "b\u200dü"}).ASCII(); err == nil {
		t.Error("a bad IDN was converted")
	}
	for in, want := range map[string]string{"EXAMPLE.com": "example.com", "[192.0.2.1]": "[192.0.2.1]", "": ""} {
		if got, err := domains.ToASCII(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
