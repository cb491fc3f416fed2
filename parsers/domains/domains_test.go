package domains

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]Name{
		"": "", "Example.COM": "example.com", "example.com.": "example.com", "EXAMPLE.org.": "example.org",
		"Jiří.TEST": "xn--ji-oja54b.test", "jiří.test.": "xn--ji-oja54b.test", "XN--JI-OJA54B.test": "xn--ji-oja54b.test",
		"my_host.Test": "my_host.test", "[IPv6:2001:DB8::1]": "[ipv6:2001:db8::1]", "[192.0.2.1]": "[192.0.2.1]",
		"ŽO_fie.test": "žo_fie.test", "a..B": "a..b",
	} {
		if got := Canonical(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := Canonical(string(Canonical(in))); again != Canonical(in) {
			t.Errorf("%q: %q is not canonical, %q is", in, Canonical(in), again)
		}
	}
	if !Canonical("[192.0.2.1]").IsLiteral() || Canonical("example.com").IsLiteral() {
		t.Error("what is an address literal and what a domain")
	}
}

// TestHostName: it is IDNA's own answer, looked up or not.
// TestWithin: a domain, what is below it, and nothing whose name only ends alike.
func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		domain, above Name
		want          bool
	}{
		{"example.com", "example.com", true}, {"a.example.com", "example.com", true}, {"b.a.example.com", "example.com", true}, {"example.com", "com", true},
		{"example.com", "a.example.com", false}, {"notexample.com", "example.com", false}, {"example.com.org", "example.com", false}, {"example.com", "", false}, {"", "com", false},
	} {
		if got := Within(tt.domain, tt.above); got != tt.want {
			t.Errorf("%q within %q: %v", tt.domain, tt.above, got)
		}
	}
}

func TestHostName(t *testing.T) {
	for _, s := range []string{"", "example.com", "Example.COM", "a-b.c", "a--b.c", "ab--cd.e", "-a.b", "a-.b", "a.-b", "a..b", ".a", "a.",
		"a_b.c", ".", "a", "a--b", "1", "A.b", "mail.example.com", "a b", "x-1.y-2.z3", "münchen.example", "xn--mnchen-3ya", "xn--ji-oja54b.test", "xn--.test", "jiří.test", "1.2.3.4", "[1.2.3.4]", "b\u200dü"} {
		want, wantErr := idna.Lookup.ToASCII(s)
		if got, err := HostName(s); got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%q: %q, %v, want %q, %v", s, got, err, want, wantErr)
		}
	}
}

// TestLong: what would take punycode quadratic time is not tried.
func TestLong(t *testing.T) {
	long := strings.Repeat("ž", 1<<20)
	if _, err := ToASCII(long); err == nil || len(err.Error()) > 100 {
		t.Errorf("%.100v", err)
	}
	if _, err := HostName(long); err == nil || len(err.Error()) > 100 {
		t.Errorf("%.100v", err)
	}
	if got := Canonical(long + "Ž"); string(got) != long+"ž" {
		t.Errorf("%d octets", len(got))
	}
}

func TestMap(t *testing.T) {
	m := NewMap(map[string]int{
		"example.org": 2, ".Example.org": 3, "*.a.example.org": 4, ".org": 5, "net": 6, "Jiří.test.": 8, ".jiří.test": 9,
		"[192.0.2.1]": 10,
	})
	check := func(domain string, want ...int) {
		t.Helper()
		if got := slices.Collect(m.Each(Canonical(domain))); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", domain, got, want)
		}
		v, ok := m.Get(Canonical(domain))
		if ok != (len(want) > 0) || ok && v != want[0] {
			t.Errorf("%s: %v, %v, want the first of %v", domain, v, ok, want)
		}
	}
	check("example.org", 2, 5)
	check("EXAMPLE.org.", 2, 5)
	check("b.example.org", 3, 5)
	check("a.example.org", 3, 5)
	check("x.a.example.org", 4, 3, 5)
	check("y.x.a.example.org", 4, 3, 5)
	check("other.org", 5)
	check("notexample.org", 5)
	check("org")
	check("net", 6)
	check("x.net")
	check("xn--ji-oja54b.TEST", 8)
	check("x.jiří.test", 9)
	check("[192.0.2.1]", 10)
	check("[192.0.2.2]")
	check("")
	m.Set("*", 7)
	check("x.net", 7)
	check("", 7)
	check("x.a.example.org", 4, 3, 5, 7)
	m.Set("example.org", 1)
	check("example.org", 1, 5, 7)
}

func TestEmptyMap(t *testing.T) {
	var m Map[string]
	if v, ok := m.Get("example.org"); ok || v != "" {
		t.Errorf("%q, %v", v, ok)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"Example.com.", "jiří.test", "xn--ji-oja54b.test", "[::1]", "a..b", "ẞ.test", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := Canonical(s)
		if strings.ContainsFunc(string(n), func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
			t.Errorf("%q: %q has capitals", s, n)
		}
	})
}

func TestMapOf(t *testing.T) {
	m := NewMap(map[string]int{"example.org": 1, ".example.org": 2})
	if _, ok := m.Of("*"); ok {
		t.Error("there is a value for all")
	}
	m.Set("*", 3)
	for pattern, want := range map[string]int{"Example.org.": 1, "*.EXAMPLE.org": 2, ".example.org": 2, "*": 3} {
		if v, ok := m.Of(pattern); !ok || v != want {
			t.Errorf("%s: %v, %v, want %v", pattern, v, ok, want)
		}
	}
	if v, ok := m.Of("x.example.org"); ok {
		t.Errorf("a domain that a pattern fits is no pattern: %v", v)
	}
}

// TestNoUTF8: octets that are no UTF-8 are no domain, and none of them another's.
func TestNoUTF8(t *testing.T) {
	for _, s := range []string{"\x80.example", "a\xff.example", "\xc3", "b\xc3.example"} {
		for name, ascii := range map[string]func(string) (string, error){"ToASCII": ToASCII, "HostName": HostName} {
			if got, err := ascii(s); err == nil {
				t.Errorf("%s of %q is %q", name, s, got)
			}
		}
	}
	if a, b := Canonical("\x80.example"), Canonical("\x81.example"); a == b {
		t.Errorf("both are %q", a)
	}
}
