package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// reseal seals nothing, and shows for whom it should have.
func reseal(sealed string, from, to domains.Address) (string, error) {
	return fmt.Sprint("sealed:", from, ">", to), nil
}

// TestRenameAccount: whatever leads to an account leads to its new address, its sealed
// secret is sealed anew, and everybody else stays.
func TestRenameAccount(t *testing.T) {
	for _, to := range []domains.Address{"al@example.com", "al@example.org", "al@xn--bcher-kva.example"} {
		dir := folder(t, town...)
		edits, err := mustLoad(t, dir).RenameAccount("alice@example.com", to, reseal)
		if err != nil {
			t.Fatal(err)
		}
		s := apply(t, dir, edits)
		book := s.Book()
		if a := book.Accounts[to]; a == nil || a.Quota != 1e9 || book.Accounts["alice@example.com"] != nil {
			t.Errorf("%s: accounts %v", to, book.Accounts)
		}
		for alias, want := range map[domains.Address]string{
			"sales@example.com": fmt.Sprint(to, " Friend@far.example"), "*@example.com": to.String(), "team@example.org": fmt.Sprint(to, " bob@example.org"),
			"info@example.com": "sales@example.com", "postmaster@example.org": to.String(), "*@example.org": "bob@example.org",
		} {
			if got := book.shown(alias); got != want {
				t.Errorf("%s: %s leads to %s, want %s", to, alias, got, want)
			}
		}
	}
	dir := folder(t, town...)
	edits, err := mustLoad(t, dir).RenameAccount("carol@example.com", "caro@example.com", reseal)
	if err != nil {
		t.Fatal(err)
	}
	s := apply(t, dir, edits)
	if a := s.Book().Accounts["caro@example.com"]; a == nil || a.APOP != "sealed:carol@example.com>caro@example.com" {
		t.Errorf("the sealed secret of %+v", a)
	}
	if eve := s.Book().Accounts["eve@xn--bcher-kva.example"]; eve == nil || !slices.Equal(eve.Addresses, []string{"caro@example.com", "*@example.com"}) {
		t.Errorf("eve may send as %+v", eve)
	}
	if www := s.Admin.SubmitAs["www"]; !slices.Equal(www, []string{"caro@example.com"}) {
		t.Errorf("www may send as %q", www)
	}
}

// TestRenameDomain: a domain takes everything in it along, however it is written.
func TestRenameDomain(t *testing.T) {
	dir := folder(t, town...)
	edits, err := mustLoad(t, dir).RenameDomain("example.com", "new.example", reseal)
	if err != nil {
		t.Fatal(err)
	}
	s := apply(t, dir, edits)
	book := s.Book()
	if got := fmt.Sprint(book.Domains()); got != "[empty.example example.org mail.example.com new.example xn--bcher-kva.example]" {
		t.Errorf("domains %s", got)
	}
	for alias, want := range map[domains.Address]string{
		"sales@new.example": "alice@new.example Friend@far.example", "info@new.example": "sales@new.example", "*@new.example": "alice@new.example",
		"team@example.org": "alice@new.example bob@example.org", "abuse@example.org": "alice@new.example",
	} {
		if got := book.shown(alias); got != want {
			t.Errorf("%s leads to %s, want %s", alias, got, want)
		}
	}
	if a := book.Accounts["carol@new.example"]; a == nil || a.APOP != "sealed:carol@example.com>carol@new.example" {
		t.Errorf("the sealed secret of %+v", a)
	}
	if eve := book.Accounts["eve@xn--bcher-kva.example"]; !slices.Equal(eve.Addresses, []string{"carol@new.example", "*@new.example"}) {
		t.Errorf("eve may send as %q", eve.Addresses)
	}
}

// TestRenameRefuses: what is taken, or not there, or would be sealed for nobody.
func TestRenameRefuses(t *testing.T) {
	s := mustLoad(t, folder(t, town...))
	broken := errors.New("no key")
	for _, c := range []struct {
		from, to string
		want     error
		text     string
	}{
		{"alice@example.com", "carol@example.com", ErrAccountExists, ""},
		{"alice@example.com", "sales@example.com", nil, "is an alias already"},
		{"alice@example.com", "alice@far.example", ErrNoDomain, ""},
		{"alice@example.com", "a b@example.com", nil, "cannot stand before the @"},
		{"alice@example.com", "*@example.com", nil, "is for aliases"},
		{"nobody@example.com", "al@example.com", ErrNoAccount, ""},
		{"carol@example.com", "caro@example.com", broken, "no key"},
		{"example.com", "example.org", ErrDomainExists, ""},
		{"example.com", "no_domain", nil, "not a domain name"},
		{"mail.example.com", "new.example", nil, "is the name of this server"},
		{"far.example", "new.example", ErrNoDomain, ""},
	} {
		fails := func(string, domains.Address, domains.Address) (string, error) { return "", broken }
		var err error
		if strings.Contains(c.from, "@") {
			_, err = s.RenameAccount(domains.Address(c.from), domains.Address(c.to), fails)
		} else {
			_, err = s.RenameDomain(domains.Name(c.from), domains.Name(c.to), fails)
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
}
