package conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestAddAliases: of many aliases all are added that lead somewhere, whatever their
// order, and each of the others is named with the reason.
func TestAddAliases(t *testing.T) {
	for _, c := range []struct {
		name    string
		all     []NewAlias
		added   int
		refused []string
	}{
		{"one that leads to a later one", []NewAlias{
			{"first@example.org", []string{"second@example.org"}}, {"second@example.org", []string{"bob@example.org"}},
		}, 2, nil},
		{"a domain of others, which may have anybody", []NewAlias{{"a@example.org", []string{"whoever@far.example", "bob@example.org"}}}, 1, nil},
		{"one that leads nowhere takes those along that lead to it", []NewAlias{
			{"a@xn--bcher-kva.example", []string{"b@bücher.example"}}, {"b@xn--bcher-kva.example", []string{"nobody@bücher.example"}},
			{"c@xn--bcher-kva.example", []string{"eve@bücher.example"}},
		}, 1, []string{"b@xn--bcher-kva.example: there is no account and no alias nobody@bücher.example", "a@xn--bcher-kva.example: there is no account and no alias b@bücher.example"}},
		{"a circle", []NewAlias{
			{"a@xn--bcher-kva.example", []string{"b@bücher.example"}}, {"b@xn--bcher-kva.example", []string{"A@bücher.example"}}, {"c@xn--bcher-kva.example", []string{"eve@bücher.example"}},
		}, 1, []string{"a@xn--bcher-kva.example: it leads in a circle", "b@xn--bcher-kva.example: there is no account and no alias A@bücher.example"}},
		{"a circle that a catch-all opens when one of it is left out", []NewAlias{
			{"a@example.org", []string{"b@example.org"}}, {"b@example.org", []string{"A@example.org"}},
		}, 1, []string{"a@example.org: it leads in a circle"}},
		{"there already", []NewAlias{{"team@example.org", []string{"bob@example.org"}}, {"info@example.com", []string{"bob@example.org"}}}, 0,
			[]string{"team@example.org is an alias already", "info@example.com is an alias already"}},
		{"an account, a stranger's domain, no address", []NewAlias{
			{"bob@example.org", []string{"alice@example.com"}}, {"x@far.example", []string{"bob@example.org"}}, {"x y@example.org", []string{"bob@example.org"}},
		}, 0, []string{"is an account", "far.example: no such domain", "cannot stand before the @"}},
		{"nothing", nil, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, town...)
			s := mustLoad(t, dir)
			before := len(s.Check())
			edits, added, refused, err := s.AddAliases(dir, c.all)
			if err != nil || added != c.added || len(refused) < len(c.refused) {
				t.Fatalf("%d added, refused %v, %v", added, refused, err)
			}
			for _, want := range c.refused {
				if !strings.Contains(fmt.Sprint(refused), want) {
					t.Errorf("no %q in %v", want, refused)
				}
			}
			s = apply(t, dir, edits)
			book, there := s.Book(), 0
			for _, a := range c.all {
				if to := book.shown(a.Address); s.HasAlias(a.Address) && len(book.Aliases[a.Address]) == len(a.Targets) && strings.EqualFold(to, strings.Join(canonicalAll(a.Targets), " ")) {
					there++
				}
			}
			if there != c.added {
				t.Errorf("%d of them lead where they should in %v", there, aliasesOf(s))
			}
			if after := s.Check(); len(after) != before {
				t.Errorf("with them the configuration is wrong: %v", after)
			}
		})
	}
}

func canonicalAll(written []string) (all []string) {
	for _, w := range written {
		all = append(all, domains.CanonicalAddress(w).String())
	}
	return all
}

// TestAddAccounts: many accounts go into the files where single ones would, with what
// is known of them.
func TestAddAccounts(t *testing.T) {
	dir := folder(t, town...)
	s := mustLoad(t, dir)
	edits, added, refused, err := s.AddAccounts(dir, []NewAccount{
		{Address: "dora@example.com", Password: "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP", Quota: "50MB"},
		{Address: "alice@example.com", Password: "x"},
		{Address: "sales@example.com", Password: "x"},
		{Address: "emil@new.example", Password: "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP", Disabled: true},
		{Address: "*@new.example", Password: "x"},
	})
	if err != nil || added != 2 || len(refused) != 3 {
		t.Fatalf("%d added, refused %v, %v", added, refused, err)
	}
	for i, want := range []string{"the account is there already", "is an alias already", "is for aliases"} {
		if !strings.Contains(refused[i].Error(), want) {
			t.Errorf("%v, want %s", refused[i], want)
		}
	}
	s = apply(t, dir, edits)
	if a := s.Domains["Example.com"].Accounts["dora"]; a == nil || a.Quota != 50e6 || !strings.HasPrefix(string(a.Password), "{SSHA}") {
		t.Errorf("dora: %+v", a)
	}
	if a := s.Accounts["emil@new.example"]; a == nil || !a.Disabled {
		t.Errorf("emil: %+v", a)
	}
}

// TestNearest: a slip in one part is found, both parts in common are no slip, and a
// domain in common is no likeness.
func TestNearest(t *testing.T) {
	known := []domains.Address{"alice@example.com", "bob@example.com", "bob@example.org", "*@example.com"}
	for address, want := range map[domains.Address]domains.Address{
		"alcie@example.com": "alice@example.com", "bob@exampel.org": "bob@example.org", "zoe@example.com": "", "alice@far.test": "", "x@example.com": "", "@": "",
	} {
		if got := Nearest(address, known); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
