package spf_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp/spf"
)

func TestParse(t *testing.T) {
	r, err := spf.Parse("V=SPF1  ~A/24//64 -mx:%{d}/0 ip4:192.0.2.0/24 ip6:2001:db8::1 ?ptr exists:%{ir}.x.example. -ALL Redirect=a.example exp=b.example x-y=%{d}z")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range r.Terms {
		got = append(got, fmt.Sprintf("%d %v %v %q %v %d %d", x.Offset, x.Qualifier, x.Kind, x.Domain, x.Prefix, x.Bits4, x.Bits6))
	}
	want := `8 softfail a "" invalid Prefix 24 64
18 fail mx "%{d}" invalid Prefix 0 128
29 pass ip4 "" 192.0.2.0/24 0 0
46 pass ip6 "" 2001:db8::1/128 0 0
62 neutral ptr "" invalid Prefix 32 128
67 pass exists "%{ir}.x.example." invalid Prefix 32 128
91 fail all "" invalid Prefix 0 0
96 none redirect "a.example" invalid Prefix 0 0
115 none exp "b.example" invalid Prefix 0 0
129 none unknown "%{d}z" invalid Prefix 0 0`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for text, want := range map[string][2]int{"a/32//128": {32, 128}, "a/0//0": {0, 0}, "a//127": {32, 127}, "mx/31": {31, 128}} {
		r, err := spf.Parse("v=spf1 " + text)
		if err != nil || r.Terms[0].Bits4 != want[0] || r.Terms[0].Bits6 != want[1] {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
	for text, want := range map[string]string{"ip6:2001:db8::1/128": "2001:db8::1/128", "ip6:::/0": "::/0", "ip4:0.0.0.0/0": "0.0.0.0/0", "ip4:192.0.2.1/32": "192.0.2.1/32"} {
		if r, err := spf.Parse("v=spf1 " + text); err != nil || r.Terms[0].Prefix.String() != want {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
	for text, want := range map[string]int{r.Text: 4, "v=spf1 a redirect=a.example mx": 3, "v=spf1 redirect=a.example": 1, "v=spf1 exp=a.example ip4:192.0.2.1": 0} {
		if r, err := spf.Parse(text); err != nil || r.Lookups() != want {
			t.Errorf("%q: %d lookups, want %d", text, r.Lookups(), want)
		}
	}
}

// TestSyntaxErrors: every fault is found, at its place, and the rest is still read.
func TestSyntaxErrors(t *testing.T) {
	for _, test := range []struct{ term, at string }{ // at: the rest of the term from the fault on
		{"moo", "moo"}, {"-moo", "moo"}, {"all:x", ":x"}, {"-all.", "all."}, {"+", ""}, {"+-all", "-all"},
		{"include", ""}, {"include:", ""}, {"include/24", "/24"}, {"exists", ""},
		{"a:192.0.2.1", "192.0.2.1"}, {"a:example", "example"}, {"a:example.", "example."}, {"a:", ""}, {"a:x.example/33", "/33"}, {"a:x.example//129", "//129"},
		{"a/24/64", "/64"}, {"a/024", "/024"}, {"a/", "/"}, {"a:x.-e", "-e"}, {"a:x.e-", "e-"}, {"a:x.1", "1"}, {"a:x.%{d}y", "%{d}y"}, {"a:%{d}.", "."}, {"a:x.example..", "."}, {"a:..", "."}, {"a:.", "."},
		{"ptr/24", "/24"}, {"include:x.example/24", "example/24"}, {"mx:x.example/-1", "example/-1"},
		{"ip4", ""}, {"ip4:", ""}, {"ip4:2001:db8::1", "2001:db8::1"}, {"ip4:192.0.2.1/33", "/33"}, {"ip4:192.0.2.01", "192.0.2.01"}, {"ip4:192.0.2", "192.0.2"},
		{"ip4:192.0.2.1/", "/"}, {"ip4:192.0.2.1/+1", "/+1"}, {"ip6:192.0.2.1", "192.0.2.1"}, {"ip6:fe80::1%eth0", "fe80::1%eth0"}, {"ip6:::1//64", "//64"},
		{"redirect=", ""}, {"redirect:x.example", "redirect:x.example"}, {"exp=x", "x"}, {"exp=%{c}.example", "%{c}.example"}, {"=x", "=x"}, {"1x=y", "1x=y"}, {"x:y=z", "x:y=z"}, {"-redirect=x.example", "-redirect=x.example"},
		{"a:%{d", "%{d"}, {"a:%{}.example", "%{}.example"}, {"a:%{d0}.example", "%{d0}.example"}, {"a:%{dx}.example", "%{dx}.example"}, {"a:%{d-r}", "%{d-r}"}, {"a:%", "%"}, {"a:%x.example", "%x.example"}, {"x=%", "%"},
		{"a:ü.example", "ü.example"}, {"a:x\x00.example", "\x00.example"}, {"a:x\t.example", "\t.example"},
	} {
		text := "v=spf1 mx " + test.term + "  -all"
		r, err := spf.Parse(text)
		var fault *spf.SyntaxError
		if !errors.As(err, &fault) {
			t.Errorf("%q: %v", test.term, err)
			continue
		}
		if at := len("v=spf1 mx ") + len(test.term) - len(test.at); fault.Offset != at || fault.Term != test.term {
			t.Errorf("%q: at %q, want %q: %v", test.term, text[fault.Offset:], text[at:], fault)
		}
		if len(r.Terms) != 2 || r.Terms[1].Kind != spf.All {
			t.Errorf("%q: read %v", test.term, r.Terms)
		}
	}
	r, err := spf.Parse("v=spf1 moo a redirect=a.example redirect=b.example mooo -all")
	if len(r.Terms) != 3 || strings.Count(fmt.Sprint(err), "\n") != 2 {
		t.Errorf("%v with errors %v", r.Terms, err)
	}
	if r, err = spf.Parse("v=spf10"); r == nil || err == nil || !errors.Is(err, spf.ErrNoRecord) {
		t.Errorf("%v %v", r, err)
	}
}

func TestMistaken(t *testing.T) {
	for txt, want := range map[string]string{
		"v=spf1":                       "",
		"v=spf1 moo":                   "",
		"google-site-verification=x":   "",
		"v=DMARC1; p=none":             "",
		"":                             "",
		"V=SPF1 -all":                  "capitals",
		" v=spf1 -all":                 "invisible",
		"\u00a0v=spf1 -all":            "invisible",
		"\ufeffv=spf1 -all":            "invisible",
		`"v=spf1 -all"`:                "quotation mark",
		"“v=spf1 -all”":                "quotation mark",
		"v=spf1; -all":                 "neither a space",
		"v=spf1,-all":                  "neither a space",
		"v=spf1\tmx":                   "neither a space",
		"v=spf1-all":                   "neither a space",
		"v=spf10 mx":                   "neither a space",
		"v = spf1 -all":                "spaces in",
		"v= spf1 -all":                 "spaces in",
		"v=spf2 -all":                  "version",
		"v=spf":                        "version",
		"spf1 -all":                    "begin with",
		"v:spf1 -all":                  "begin with",
		"spf2.0/pra ip4:192.0.2.1":     "Sender ID",
		"spf2.0/mfrom,pra include:a.b": "Sender ID",
	} {
		if got := spf.Mistaken(txt); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", txt, got, want)
		}
	}
	if !spf.IsRecord("V=sPf1 -all") || spf.IsRecord(" v=spf1") {
		t.Error("IsRecord")
	}
}

func TestNames(t *testing.T) {
	got := fmt.Sprint(spf.None, spf.Neutral, spf.Pass, spf.Fail, spf.SoftFail, spf.TempError, spf.PermError, spf.Result(9), spf.Helo, spf.MailFrom, spf.Include, spf.Kind(99))
	if want := "none neutral pass fail softfail temperror permerror Result(9) helo mailfrom include Kind(99)"; got != want {
		t.Errorf("%s", got)
	}
}
