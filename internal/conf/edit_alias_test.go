package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// town is a configuration in two files. Names are written in more than one way.
var town = []string{"a.conf", `{
	"server_name": "mail.example.com",
	"postmaster": "alice@example.com", // reads what is for all
	"Queue": {"forward": true},
	"Domains": {
		"Example.com": {
			"catch_all": "alice",
			"Accounts": {"Alice": {"quota": "1GB"}, "carol": {"apop": "sealed:old"}},
			"Aliases": {"sales": ["alice", "Friend@Far.Example"], /* to be */ "info": "sales"},
		},
		"empty.example": {},
		"bücher.example": {"Accounts": {"eve": {"addresses": ["carol@example.com", "*@example.com"]}}},
	},
	"Admin": {"submit_as": {"www": ["carol@example.com"]}},
}
`, "b.conf", `{
	"Accounts": {"bob@example.org": {"quota": "none"}},
	"Aliases": {
		"team@example.org": ["Alice@example.com", "bob@example.org"], // all of us
		"*@example.org": "bob@example.org",
	},
}
`}

// apply writes edits down, and reads what they have made of the configuration.
func apply(t *testing.T, dir string, edits []*Edit) *Settings {
	t.Helper()
	for _, e := range edits {
		if _, err := os.Stat(e.File); e.New != errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is called new: %v", e.File, e.New)
		}
		if err := os.WriteFile(e.File, e.Text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := ""
	for _, name := range []string{"a.conf", "b.conf"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	for _, comment := range []string{"// reads what is for all", "/* to be */", "// all of us"} {
		if strings.Contains(strings.Join(town, ""), comment) && !strings.Contains(text, comment) {
			t.Errorf("the comment %s is gone from\n%s", comment, text)
		}
	}
	return mustLoad(t, dir)
}

// one is a single edit as those that return several.
func one(e *Edit, err error) ([]*Edit, error) {
	if err != nil {
		return nil, err
	}
	return []*Edit{e}, nil
}

// shown is where an alias leads, as text.
func (b *Book) shown(at domains.Address) string {
	var to []string
	for _, t := range b.Aliases[at] {
		to = append(to, t.String())
	}
	return strings.Join(to, " ")
}

// TestAliasEdits: an alias is added where those of its domain stand, changed where it
// stands, and keeps what is known elsewhere alone; what no server would start with is
// not written.
func TestAliasEdits(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *Settings, dir string) ([]*Edit, error)
		at   domains.Address
		want string // where it leads then; the error otherwise, behind "!"
	}{
		{"new, in its domain", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "new@example.com", []string{"alice@example.com"}))
		}, "new@example.com", "alice@example.com"},
		{"new, in a domain without any", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "new@empty.example", []string{"alice@example.com", "X@Far.Example"}))
		}, "new@empty.example", "alice@example.com X@far.example"},
		{"new, in the domain of a folder's second file", func(s *Settings, dir string) ([]*Edit, error) {
			e, err := s.AddAlias(dir, "new@example.com", []string{"bob@example.org"})
			if err == nil && filepath.Base(e.File) != "a.conf" {
				err = fmt.Errorf("it stands in %s", e.File)
			}
			return one(e, err)
		}, "new@example.com", "bob@example.org"},
		{"new, where Aliases stands", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "new@example.org", []string{"bob@example.org"}))
		}, "new@example.org", "bob@example.org"},
		{"one more, and one that is there", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "team@example.org", []string{"carol@example.com", "BOB@example.org"}))
		}, "team@example.org", "alice@example.com bob@example.org carol@example.com"},
		{"an international domain", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, domains.CanonicalAddress("Neu@BÜCHER.example"), []string{"eve@bücher.example"}))
		}, "neu@xn--bcher-kva.example", "eve@xn--bcher-kva.example"},
		{"a catch-all", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "*@empty.example", []string{"alice@example.com"}))
		}, "*@empty.example", "alice@example.com"},
		{"one target less", func(s *Settings, _ string) ([]*Edit, error) {
			return s.RemoveAlias("team@example.org", []string{"alice@EXAMPLE.com"})
		}, "team@example.org", "bob@example.org"},
		{"the last target", func(s *Settings, _ string) ([]*Edit, error) {
			return s.RemoveAlias("info@example.com", []string{"sales@example.com"})
		}, "info@example.com", ""},
		{"all of it", func(s *Settings, _ string) ([]*Edit, error) { return s.RemoveAlias("sales@example.com", nil) }, "sales@example.com", ""},
		{"a target elsewhere, in another case", func(s *Settings, _ string) ([]*Edit, error) {
			return s.RemoveAlias("sales@example.com", []string{"friend@far.example"})
		}, "sales@example.com", "alice@example.com"},

		{"an account's name", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "alice@example.com", []string{"bob@example.org"}))
		}, "", "!is an account"},
		{"a domain of others", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "x@far.example", []string{"bob@example.org"}))
		}, "", "!no such domain here"},
		{"no address", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "a b@example.com", []string{"bob@example.org"}))
		}, "", "!cannot stand before the @"},
		{"no target", func(s *Settings, dir string) ([]*Edit, error) {
			return one(s.AddAlias(dir, "x@example.com", []string{"bob"}))
		}, "", "!not a full address"},
		{"an alias that is none", func(s *Settings, _ string) ([]*Edit, error) { return s.RemoveAlias("nobody@example.com", nil) }, "", "!no such alias"},
		{"a target that it has not", func(s *Settings, _ string) ([]*Edit, error) {
			return s.RemoveAlias("team@example.org", []string{"carol@example.com"})
		}, "", "!does not lead to carol@example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, town...)
			edits, err := c.do(mustLoad(t, dir), dir)
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s := apply(t, dir, edits)
			if got := s.Book().shown(c.at); got != c.want || s.HasAlias(c.at) != (c.want != "") {
				t.Errorf("%s leads to %q, want %q", c.at, got, c.want)
			}
			if problems := s.Check(); strings.Contains(fmt.Sprint(problems), string(c.at)) && c.want != "" {
				t.Errorf("with that the configuration is wrong: %v", problems)
			}
		})
	}
}

// TestDomainEdits: a domain comes and goes alone: none with somebody in it does.
func TestDomainEdits(t *testing.T) {
	dir := folder(t, town...)
	s := mustLoad(t, dir)
	for _, c := range []struct {
		name domains.Name
		add  bool
		want error
		text string
	}{
		{"new.example", true, nil, ""},
		{"xn--hk-fka.example", true, nil, ""},
		{"example.com", true, ErrDomainExists, ""},
		{"example.org", true, ErrDomainExists, ""},
		{"mail.example.com", true, ErrDomainExists, ""},
		{"no_domain", true, nil, "not a domain name"},
		{"192.0.2.1", true, nil, "not a domain name"},
		{"empty.example", false, nil, ""},
		{"example.com", false, nil, "there is still alice@example.com in it"},
		{"example.org", false, nil, "there is still bob@example.org in it"},
		{"mail.example.com", false, nil, "is the name of this server"},
		{"far.example", false, ErrNoDomain, ""},
	} {
		do := func() ([]*Edit, error) { return s.RemoveDomain(c.name) }
		if c.add {
			do = func() ([]*Edit, error) { return one(s.AddDomain(dir, c.name)) }
		}
		edits, err := do()
		switch {
		case c.want != nil || c.text != "":
			if c.want != nil && !errors.Is(err, c.want) || err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", c.name, err)
			}
		case err != nil || slices.Contains(apply(t, dir, edits).Book().Domains(), c.name) != c.add:
			t.Errorf("%s, added %v: %v", c.name, c.add, err)
		}
		s = mustLoad(t, dir)
	}
}
