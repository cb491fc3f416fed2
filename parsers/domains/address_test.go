package domains_test

import (
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestAddress: however an address is written, it has one canonical form, which stays
// as it is and falls into its two parts.
func TestAddress(t *testing.T) {
	for _, c := range []struct{ written, want, local, domain string }{
		{"alice@example.com", "alice@example.com", "alice", "example.com"},
		{"Alice@Example.COM.", "alice@example.com", "alice", "example.com"},
		{"JÖRG@BÜCHER.example", "jörg@xn--bcher-kva.example", "jörg", "xn--bcher-kva.example"},
		{"jörg@xn--bcher-kva.example", "jörg@xn--bcher-kva.example", "jörg", "xn--bcher-kva.example"},
		{"a@b@Example.com", "a@b@example.com", "a@b", "example.com"},
		{"a b@[192.0.2.1]", "a b@[192.0.2.1]", "a b", "[192.0.2.1]"},
		{"*@example.com", "*@example.com", "*", "example.com"},
		{"x@-bad_.Example", "x@-bad_.example", "x", "-bad_.example"},
		{"Alice", "alice", "", "alice"},
		{"@", "@", "", ""},
		{"", "", "", ""},
	} {
		a := domains.CanonicalAddress(c.written)
		local, domain := a.Cut()
		if a.String() != c.want || local != c.local || domain.String() != c.domain || a.Domain() != domain {
			t.Errorf("%q is %q of %q and %q", c.written, a, local, domain)
		}
		if c.local != "" && domains.At(local, domain) != a {
			t.Errorf("%q put together is %q", a, domains.At(local, domain))
		}
	}
}

// FuzzAddress: the canonical form is its own canonical form.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"Alice@Example.COM.", "jörg@bücher.example", "a@b@c", "@", "\xff@\xff", "İ@İ.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := domains.CanonicalAddress(s)
		local, domain := a.Cut()
		if local != "" && domains.At(local, domain) != a {
			t.Errorf("%q: %q put together is %q", s, a, domains.At(local, domain))
		}
	})
}
