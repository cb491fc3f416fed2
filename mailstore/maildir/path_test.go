package maildir

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
)

func TestBoxPath(t *testing.T) {
	for _, c := range []struct{ user, path string }{
		{"alice@example.org", "example.org/alice"},
		{"Alice@Example.ORG", "example.org/alice"},
		{"a.b+c_d-e=f@x", "x/a.b+c_d-e=f"},
		{"../x@y", "y/%2e.%2fx"},
		{"..@..", "%2e%2e/%2e%2e"},
		{".@.", "%2e/%2e"},
		{"a%2f@x", "x/a%252f"},
		{"a@b@c", "c/a%40b"},
		{"grüße@x", "x/gr%c3%bc%c3%9fe"},
		{"x@[IPv6:::1]", "%5bipv6%3a%3a%3a1%5d/x"},
	} {
		got, err := boxPath(c.user)
		if err != nil || got != c.path {
			t.Errorf("boxPath(%q) = %q, %v; want %q", c.user, got, err, c.path)
		}
		domain, local := filepath.Split(got)
		user, ok := boxUser(filepath.Clean(domain), local)
		if again, _ := boxPath(user); !ok || again != got {
			t.Errorf("boxUser(%q) = %q, %v", got, user, ok)
		}
	}
	for _, bad := range []string{"", "a", "@", "a@", "@b", "a\x00@b", "a\n@b", "a@b\x7f", "\xc3@b",
		strings.Repeat("ü", 50) + "@x", "x@" + strings.Repeat("d", 256)} {
		if got, err := boxPath(bad); !errors.Is(err, mailstore.ErrBadName) {
			t.Errorf("boxPath(%q) = %q, %v", bad, got, err)
		}
	}
	for _, foreign := range []string{"Alice", "%41", "%2", "%zz", "%2F", "ü", ".x", "x.", ""} {
		if user, ok := boxUser("x", foreign); ok {
			t.Errorf("boxUser takes %q for %q", foreign, user)
		}
	}
}

// FuzzBoxPath: a path never leaves the store, and comes back as one name.
func FuzzBoxPath(f *testing.F) {
	for _, s := range []string{"a@b", "../../x@y", "A.@..", "%2e@%", "ü@\"@\"", "a\x00@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, user string) {
		path, err := boxPath(user)
		if err != nil {
			if !errors.Is(err, mailstore.ErrBadName) {
				t.Fatalf("error %v", err)
			}
			return
		}
		domain, local, ok := strings.Cut(path, "/")
		if !ok || strings.Contains(local, "/") || !filepath.IsLocal(path) || filepath.Clean(path) != path {
			t.Fatalf("boxPath(%q) = %q", user, path)
		}
		for _, part := range []string{domain, local} {
			if len(part) > maxComponent || part[0] == '.' {
				t.Fatalf("boxPath(%q) = %q", user, path)
			}
		}
		back, ok := boxUser(domain, local)
		if !ok || !strings.EqualFold(back, user) {
			t.Fatalf("%q became %q by way of %q", user, back, path)
		}
	})
}
