package dkim

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestCanonicalName: letters in either case, digits, hyphens within and underscores make a name, and it comes out in small letters.
func TestCanonicalName(t *testing.T) {
	good := func(s string) bool { _, ok := canonicalName(s); return ok }
	allowed := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
	}
	mailtest.Octets(t, "label", "ab", func(s string) bool {
		if i := strings.IndexAny(s, "-."); i >= 0 { // its place decides
			return false
		}
		return good(s+".example") && good("x."+s)
	}, allowed)
	for in, want := range map[string]string{"A1-b.Example": "a1-b.example", "2026-11._x.example": "2026-11._x.example", "bücher.example": "xn--bcher-kva.example", "a--b.example": "a--b.example", "9.z": "9.z"} {
		if got, ok := canonicalName(in); got != want || !ok {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
	for _, s := range []string{"", ".", "a..b", ".a", "-a.example", "a-.example", "a.-", "a b"} {
		if good(s) {
			t.Errorf("%q is a name", s)
		}
	}
	mailtest.Edge(t, "label", 63, func(n int) bool { return good(strings.Repeat("x", n) + ".example") })
	mailtest.Edge(t, "name", maxName, func(n int) bool { return good(strings.Repeat("abcdef.", 40)[:n-2] + "xx") })
}

// TestUnquote: quoted-printable as identities have it, also at the very end; what is cut off, or no UTF-8, is none.
func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "=41": "A", "a=3D": "a=", "=3D=3d": "==", "=C3=A4b": "äb", "x=20y": "x y", "=3D41": "=41"} {
		if got, ok := unquote(in); got != want || !ok {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{"=", "=4", "a=", "a=4", "=G1", "=1G", "= 1", "=+1", "==41", "=C3", "=ff"} {
		if got, ok := unquote(in); ok {
			t.Errorf("%q: %q", in, got)
		}
	}
}
