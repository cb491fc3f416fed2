package smtp

import (
	"strings"
	"testing"
)

var pathTests = []struct {
	in   string
	o    PathOption
	want string // String of the path; "!" if it is refused
}{
	{"<a@example.com>", 0, "a@example.com"},
	{"<A.b+c@Example.COM>", 0, "A.b+c@Example.COM"},
	{"<a@b>", 0, "a@b"},
	{"<!#$%&'*+-/=?^_`{|}~@example.com>", 0, "!#$%&'*+-/=?^_`{|}~@example.com"},
	{`<"a b"@example.com>`, 0, `"a b"@example.com`},
	{`<"a"@example.com>`, 0, "a@example.com"},
	{`<"\a\"\\"@example.com>`, 0, `"a\"\\"@example.com`},
	{`<""@example.com>`, 0, `""@example.com`},
	{`<"a@b"@example.com>`, 0, `"a@b"@example.com`},
	{`<"a>b"@example.com>`, 0, `"a>b"@example.com`},
	{"<@a.example,@b.example:c@example.com>", 0, "c@example.com"},
	{"<a@[192.0.2.1]>", 0, "a@[192.0.2.1]"},
	{"<a@[IPv6:2001:db8::1]>", 0, "a@[IPv6:2001:db8::1]"},
	{"<a@[ipv6:::ffff:192.0.2.1]>", 0, "a@[ipv6:::ffff:192.0.2.1]"},
	{"<" + strings.Repeat("a", 200) + "@example.com>", 0, strings.Repeat("a", 200) + "@example.com"},
	{"<>", PathNull, ""},
	{"<postmaster>", PathPostmaster, "postmaster"},
	{"<PostMaster>", PathPostmaster, "PostMaster"},
	{"<ü@exämple.com>", PathUTF8, "ü@exämple.com"},
	{`<"ü "@example.com>`, PathUTF8, `"ü "@example.com`},
	{"a@example.com", PathLenient, "a@example.com"},
	{" < a@example.com > ", PathLenient, "!"},
	{" < a@example.com >", PathLenient, "a@example.com"},
	{"<.a..b.@ex_ample.com>", PathLenient, `".a..b."@ex_ample.com`},

	{"", 0, "!"}, {"<", 0, "!"}, {">", 0, "!"}, {"<>", 0, "!"}, {"a@example.com", 0, "!"},
	{"<a@example.com", 0, "!"}, {"<a@example.com>x", 0, "!"}, {"<<a@example.com>>", 0, "!"},
	{"< a@example.com>", 0, "!"}, {"<a@example.com >", 0, "!"}, {"<a @example.com>", 0, "!"},
	{"<a>", 0, "!"}, {"<a>", PathPostmaster, "!"}, {"<@example.com>", 0, "!"}, {"<a@>", 0, "!"}, {"<a@b@c>", 0, "!"},
	{"<.a@example.com>", 0, "!"}, {"<a.@example.com>", 0, "!"}, {"<a..b@example.com>", 0, "!"},
	{"<a,b@example.com>", 0, "!"}, {"<a:b@example.com>", 0, "!"}, {`<a"b@example.com>`, 0, "!"}, {`<a\b@example.com>`, 0, "!"}, {"<(a)b@example.com>", 0, "!"},
	{`<"a@example.com>`, 0, "!"}, {`<"a\`, 0, "!"}, {`<"a"b@example.com>`, 0, "!"}, {"<\"a\x01\"@example.com>", 0, "!"}, {"<\"a\\\x01\"@example.com>", 0, "!"},
	{"<a@.example.com>", 0, "!"}, {"<a@example.com.>", 0, "!"}, {"<a@example..com>", 0, "!"}, {"<a@-example.com>", 0, "!"}, {"<a@example-.com>", 0, "!"}, {"<a@ex_ample.com>", 0, "a@ex_ample.com"}, {"<s@my_host.example.org>", 0, "s@my_host.example.org"},
	{"<a@" + strings.Repeat("a", 64) + ".com>", 0, "!"}, {"<a@" + strings.Repeat("a.", 130) + "com>", 0, "!"}, {"<" + strings.Repeat("a", 260) + "@example.com>", 0, "!"},
	{"<a@[192.0.2.256]>", 0, "!"}, {"<a@[192.0.2.1>", 0, "!"}, {"<a@[]>", 0, "!"}, {"<a@[IPv6:x]>", 0, "!"}, {"<a@[IPv6:fe80::1%eth0]>", 0, "!"}, {"<a@[tag:]>", 0, "!"}, {"<a@[X-tag:content]>", 0, "!"}, {"<a@[2001:db8::1]>", 0, "!"},
	{"<@a.example>", 0, "!"}, {"<@a.example:>", 0, "!"}, {"<@a.example,:b@example.com>", 0, "!"}, {"<a.example:b@example.com>", 0, "!"},
	{"<ü@example.com>", 0, "!"}, {"<a@exämple.com>", 0, "!"}, {"<\xfc@example.com>", PathUTF8, "!"}, {"<a\u0085@example.com>", PathUTF8, "!"}, {"<a\u2028b@example.com>", PathUTF8, "!"},
	{"<a\x00@example.com>", PathUTF8 | PathLenient, "!"}, {"<a\r@example.com>", PathUTF8 | PathLenient, "!"}, {"<a@example.com\n>", PathUTF8 | PathLenient, "!"},
}

func TestParsePath(t *testing.T) {
	for _, c := range pathTests {
		p, err := ParsePath(c.in, c.o)
		got := p.String()
		if err != nil {
			got = "!"
		}
		if got != c.want {
			t.Errorf("ParsePath(%q, %b) = %q, %v, want %q", c.in, c.o, got, err, c.want)
		}
	}
}

func TestParseMailbox(t *testing.T) {
	for in, want := range map[string]string{
		"a@example.com": "a@example.com", `"a b"@example.com`: `"a b"@example.com`,
		"<a@example.com>": "!", "a@example.com x": "!", "": "!", "a": "!", " a@example.com": "!",
	} {
		p, err := ParseMailbox(in, 0)
		got := p.String()
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("ParseMailbox(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

// FuzzPath: whatever is accepted survives being written and read again, is
// bounded, and holds no control characters; what is strict is lenient too.
func FuzzPath(f *testing.F) {
	for _, c := range pathTests {
		f.Add(c.in, uint(c.o))
	}
	f.Fuzz(func(t *testing.T, in string, options uint) {
		o := PathOption(options) & (PathUTF8 | PathNull | PathPostmaster | PathLenient)
		p, err := ParsePath(in, o)
		if err != nil {
			if p != (Path{}) {
				t.Fatalf("a path with an error: %+v", p)
			}
			return
		}
		if !isPrintable(p.Local+p.Domain) || strings.ContainsAny(p.Domain, " \t@<>\"") || len(p.Local)+len(p.Domain) > 512 {
			t.Fatalf("%q gives %q", in, p)
		}
		again, err := ParsePath("<"+p.String()+">", o)
		// Quoting may make a path longer than the limit.
		if again != p && len(p.String()) < maxPath-2 {
			t.Fatalf("%q is %+v, then %+v (%v)", in, p, again, err)
		}
		if o&PathLenient == 0 {
			if loose, err := ParsePath(in, o|PathLenient); loose != p {
				t.Fatalf("%q is %+v, leniently %+v (%v)", in, p, loose, err)
			}
		}
	})
}

func TestXtext(t *testing.T) {
	for in, want := range map[string]string{"abc": "abc", "a+2Bb": "a+b", "a+3D": "a=", "+e4": "\xe4", "a+": "!", "a+2": "!", "a+2X": "!", "a=b": "!", "a b": "!", "ü": "!", "+ü0": "!"} {
		got, ok := DecodeXtext(in)
		if !ok {
			got = "!"
		}
		if got != want {
			t.Errorf("DecodeXtext(%q) = %q, want %q", in, got, want)
		}
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if back, ok := DecodeXtext(EncodeXtext(string(all))); !ok || back != string(all) {
		t.Errorf("xtext does not survive: %q", back)
	}
	for in, want := range map[string]string{`a\x{F6}b`: "aöb", "öb": "öb", `a\x{1F600}`: "a😀", `\x{D800}`: "!", `\x{F`: "!", `\xF6`: "!", "a+2Bb": "a+b", "\xff": "!"} {
		got, ok := decodeUnitext(in)
		if !ok {
			got = "!"
		}
		if got != want {
			t.Errorf("decodeUnitext(%q) = %q, want %q", in, got, want)
		}
	}
}
