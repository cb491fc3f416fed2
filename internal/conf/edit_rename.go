package conf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Reseal makes of a secret that is sealed for one address the same sealed for
// another.
type Reseal func(sealed string, from, to domains.Address) (string, error)

// RenameAccount gives an account another address, wherever it stands or something
// leads to it. The old one is nobody's then.
func (s *Settings) RenameAccount(from, to domains.Address, reseal Reseal) ([]*Edit, error) {
	if err := checkAccountAddress(to.String()); err != nil {
		return nil, err
	}
	if steps, _ := s.findAccount(from); steps == nil {
		return nil, fmt.Errorf("%s: %w", from, ErrNoAccount)
	}
	if steps, _ := s.findAccount(to); steps != nil {
		return nil, fmt.Errorf("%s: %w", to, ErrAccountExists)
	}
	if steps, _ := s.findAlias(to); steps != nil {
		return nil, fmt.Errorf("%s is an alias already; remove that first", to)
	}
	if domain := to.Domain(); !s.keeps(domain) {
		return nil, fmt.Errorf("%s: %w here; add it first: postrider domain add %[1]s", domain, ErrNoDomain)
	}
	return s.rename(reseal, func(address domains.Address) domains.Address {
		if address == from {
			return to
		}
		return address
	})
}

// RenameDomain gives a domain and all addresses in it another name.
func (s *Settings) RenameDomain(from, to domains.Name, reseal Reseal) ([]*Edit, error) {
	if err := checkDomain(to.String()); err != nil {
		return nil, err
	}
	switch {
	case from == domains.Canonical(s.ServerName):
		return nil, fmt.Errorf("%s is the name of this server: change server_name, and rename the accounts", from)
	case !s.keeps(from):
		return nil, fmt.Errorf("%s: %w", from, ErrNoDomain)
	case s.keeps(to):
		return nil, fmt.Errorf("%s: %w", to, ErrDomainExists)
	}
	return s.rename(reseal, func(address domains.Address) domains.Address {
		if local, domain := address.Cut(); domain == from {
			return domains.At(local, to)
		}
		return address
	})
}

// rename changes every address of the settings. to gives the new one for an
// address in canonical form, and the same for those that stay.
func (s *Settings) rename(reseal Reseal, to func(domains.Address) domains.Address) ([]*Edit, error) {
	return s.editEach(func(one *Settings, text []byte) ([]byte, error) {
		r := &renamer{one: one, text: text, to: to, reseal: reseal}
		r.mentions()
		r.secrets()
		r.keys()
		return r.text, r.err
	})
}

// renamer changes the addresses in one file.
type renamer struct {
	one    *Settings
	text   []byte
	to     func(domains.Address) domains.Address
	reseal Reseal
	err    error
}

func (r *renamer) do(change func(text []byte) ([]byte, error)) {
	if r.err == nil {
		text, err := change(r.text)
		if r.err = err; err == nil {
			r.text = text
		}
	}
}

// renamed is what becomes of an address as it is written, in a domain where a local
// part may stand alone.
func (r *renamer) renamed(written, domain string) string {
	if written == "" {
		return ""
	}
	was := domains.CanonicalAddress(inDomain(written, domain))
	is := r.to(was)
	local, other := is.Cut()
	switch {
	case is == was:
		return written
	case !strings.Contains(written, "@") && (other == domains.Canonical(domain) || other == r.domain(was.Domain())):
		return local // its domain is said, or renamed with it
	}
	return is.String()
}

// domain is what becomes of a domain, as opposed to single addresses in it.
func (r *renamer) domain(name domains.Name) domains.Name {
	return r.to(domains.At("\x00", name)).Domain()
}

// list sets a list of addresses if any of them has changed.
func (r *renamer) list(was []string, domain string, steps ...string) {
	is := make([]string, len(was))
	for i, written := range was {
		is[i] = r.renamed(written, domain)
	}
	if !slices.Equal(is, was) {
		r.do(func(text []byte) ([]byte, error) { return config.Set(text, asWritten(is), steps...) })
	}
}

// mentions changes what leads to addresses.
func (r *renamer) mentions() {
	r.list([]string{r.one.Postmaster}, "", "postmaster")
	for name, targets := range r.one.Aliases {
		r.list(targets, "", "Aliases", name)
	}
	for name, addresses := range r.one.Admin.SubmitAs {
		r.list(addresses, "", "Admin", "submit_as", name)
	}
	r.one.eachDomain(func(name string, d *Domain) {
		r.list([]string{d.CatchAll}, name, "Domains", name, "catch_all")
		for local, targets := range d.Aliases {
			r.list(targets, name, "Domains", name, "Aliases", local)
		}
	})
	r.one.eachAccount(func(steps []any, _ string, a *Account) {
		is := make([]string, len(a.Addresses))
		for i, written := range a.Addresses {
			is[i] = r.renamed(written, "")
		}
		if !slices.Equal(is, a.Addresses) {
			r.do(func(text []byte) ([]byte, error) { return config.Set(text, is, append(words(steps), "addresses")...) })
		}
	})
}

// secrets seals anew what is sealed for an address.
func (r *renamer) secrets() {
	r.one.eachAccount(func(steps []any, written string, a *Account) {
		was := domains.CanonicalAddress(written)
		at := append(slices.Clone(steps), "apop")
		if is := r.to(was); is != was && a.APOP.IsSealed() && r.one.notes[config.Path(at...)] == "" && r.err == nil {
			var sealed string
			if sealed, r.err = r.reseal(string(a.APOP), was, is); r.err == nil {
				r.do(func(text []byte) ([]byte, error) { return config.Set(text, sealed, words(at)...) })
			}
		}
	})
}

// keys changes the addresses that things stand under.
func (r *renamer) keys() {
	move := func(steps []any, written string) {
		was := domains.CanonicalAddress(written)
		is := r.to(was)
		if is == was {
			return
		}
		way := words(steps)
		local, domain := is.Cut()
		switch before := was.Domain(); {
		case way[0] != "Domains":
			r.do(func(text []byte) ([]byte, error) { return config.Rename(text, is.String(), way...) })
		case domain == before:
			r.do(func(text []byte) ([]byte, error) { return config.Rename(text, local, way...) })
		case r.domain(before) != domain: // it alone leaves the domain
			r.do(func(text []byte) ([]byte, error) { return moveValue(text, way, []string{"Accounts", is.String()}) })
		}
	}
	r.one.eachAccount(func(steps []any, written string, _ *Account) { move(steps, written) })
	for name := range r.one.Aliases {
		move([]any{"Aliases", name}, name)
	}
	r.one.eachDomain(func(name string, _ *Domain) {
		was := domains.Canonical(name)
		if is := r.domain(was); is != was {
			r.do(func(text []byte) ([]byte, error) { return config.Rename(text, is.String(), "Domains", name) })
		}
	})
}

// moveValue puts what stands at one place to another.
func moveValue(text []byte, from, to []string) ([]byte, error) {
	plain, err := config.Standardize(text)
	if err != nil {
		return nil, err
	}
	value := json.RawMessage(plain)
	for _, step := range from {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(value, &members); err != nil {
			return nil, fmt.Errorf("read %s: %w", strings.Join(from, "."), err)
		}
		value = members[step]
	}
	if text, err = config.Set(text, value, to...); err != nil {
		return nil, err
	}
	return config.Remove(text, from...)
}
