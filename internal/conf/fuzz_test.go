package conf

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// FuzzVerify: any text is either right or answered by problems at places
// within it; what is right has no alias that leads nowhere or in a circle, and
// can be shown.
func FuzzVerify(f *testing.F) {
	for _, kind := range []string{"good", "bad"} {
		names, err := filepath.Glob(filepath.Join(testdata, kind, "*.conf"))
		if err != nil || len(names) == 0 {
			f.Fatal(names, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	name := filepath.Join(f.TempDir(), "a.conf")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, problems := Verify(name, Probes{})
		for _, p := range problems {
			var e *config.Error
			if !errors.As(p, &e) {
				t.Fatalf("%q: %v has no place", text, p)
			}
			if lines := bytes.Count(text, []byte("\n")) + 1; e.Name != filepath.ToSlash(name) || e.Line > lines {
				t.Fatalf("%q: %v", text, e)
			}
		}
		if s == nil {
			return
		}
		var b bytes.Buffer
		if err := s.Show(&b); err != nil {
			t.Fatal(err)
		}
		if len(problems) > 0 {
			return
		}
		book := s.Book()
		for from := range book.Aliases {
			ends := 0
			var follow func(domains.Address, int)
			follow = func(address domains.Address, depth int) {
				if depth > len(book.Aliases) {
					t.Fatalf("%q: %s leads in a circle", text, from)
				}
				local, to := book.IsLocal(address.Domain()), book.Taker(address, true)
				switch {
				case !local || book.Accounts[to] != nil:
					ends++
				case to == "":
					t.Fatalf("%q: %s leads to %s, which nobody has", text, from, address)
				}
				if book.Accounts[to] != nil || !local {
					return
				}
				for _, next := range book.Aliases[to] {
					follow(next.Address, depth+1)
				}
			}
			follow(domains.Address(strings.Replace(from.String(), "*@", "nobody-of-this-name@", 1)), 0)
			if ends == 0 {
				t.Fatalf("%q: %s reaches nobody", text, from)
			}
		}
	})
}
