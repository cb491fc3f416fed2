package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Errors of edits of aliases and domains.
var (
	ErrNoAlias      = errors.New("no such alias")
	ErrNoDomain     = errors.New("no such domain")
	ErrDomainExists = errors.New("the domain is there already")
)

// AddAlias has an address lead to targets, beside those that it leads to already.
// It goes where the aliases of its domain stand, else where Aliases stands, else
// to an aliases.conf in the folder. "*@example.com" is for whatever nobody takes.
func (s *Settings) AddAlias(path, address string, targets []string) (*Edit, error) {
	file, steps, err := s.placeOfAlias(path, address, targets)
	if err != nil {
		return nil, err
	}
	_, all := s.findAlias(Canonical(address))
	all = slices.Clone(all)
	for _, t := range targets {
		if !slices.ContainsFunc(all, func(h string) bool { return Canonical(h) == Canonical(t) }) {
			all = append(all, t)
		}
	}
	return edit(file, func(text []byte) ([]byte, error) { return config.Set(text, asWritten(all), steps...) })
}

// placeOfAlias is where an alias stands or goes, and why there can be none.
func (s *Settings) placeOfAlias(path, address string, targets []string) (file string, steps []string, err error) {
	if err := checkAddress(strings.Replace(address, "*@", "any@", 1)); err != nil {
		return "", nil, err
	}
	for _, t := range targets {
		if err := checkAddress(t); err != nil {
			return "", nil, err
		}
	}
	if steps, _ := s.findAccount(address); steps != nil {
		return "", nil, fmt.Errorf("%s is an account, which gets the mail; an alias would never be used", address)
	}
	address = Canonical(address)
	local, domain := CutAddress(address)
	if !slices.Contains(s.LocalDomains(), domain) {
		return "", nil, fmt.Errorf("%s: %w here; add it first: postrider domain add %[1]s", domain, ErrNoDomain)
	}
	if steps, _ := s.findAlias(address); steps != nil {
		at, _ := s.text().Where(anys(steps)...)
		return at.File, steps, nil
	}
	steps, file = []string{"Aliases", address}, newFile(path, "aliases.conf")
	if at, ok := s.text().Where("Aliases"); ok {
		file = at.File
	}
	s.eachDomain(func(name string, d *Domain) {
		if at, ok := s.text().Where("Domains", name); ok && CanonicalDomain(name) == domain && local != "*" {
			steps, file = []string{"Domains", name, "Aliases", local}, at.File
			if at, ok := s.text().Where("Domains", name, "Aliases"); ok {
				file = at.File
			}
		}
	})
	return file, steps, nil
}

// asWritten is a list of targets as people write it: one stands alone.
func asWritten(targets []string) any {
	if len(targets) == 1 {
		return targets[0]
	}
	return targets
}

// RemoveAlias takes targets from an alias, or the alias itself where none is named
// or none would be left, in every file that it stands in.
func (s *Settings) RemoveAlias(address string, targets []string) ([]*Edit, error) {
	address = Canonical(address)
	steps, has := s.findAlias(address)
	if steps == nil {
		return nil, fmt.Errorf("%s: %w", address, ErrNoAlias)
	}
	left := slices.Clone(has)
	for _, t := range targets {
		i := slices.IndexFunc(left, func(h string) bool { return Canonical(h) == Canonical(t) })
		if i < 0 {
			return nil, fmt.Errorf("%s does not lead to %s", address, t)
		}
		left = slices.Delete(left, i, i+1)
	}
	return s.editEach(func(one *Settings, text []byte) (_ []byte, err error) {
		one.eachAlias(func(steps []any, written string, _ []string) {
			switch {
			case err != nil || Canonical(written) != address:
			case len(targets) == 0 || len(left) == 0:
				text, err = config.Remove(text, words(steps)...)
			default:
				text, err = config.Set(text, asWritten(left), words(steps)...)
			}
		})
		return text, err
	})
}

// findAlias returns the way to an alias and its targets as full addresses, or nil.
func (s *Settings) findAlias(address string) (found []string, targets []string) {
	s.eachAlias(func(steps []any, written string, to []string) {
		if Canonical(written) == address {
			found, targets = words(steps), to
		}
	})
	return found, targets
}

// AddDomain has the mail of a domain kept here. It goes where Domains stands, else
// to a domains.conf in the folder.
func (s *Settings) AddDomain(path, name string) (*Edit, error) {
	if err := checkDomain(name); err != nil {
		return nil, err
	}
	if slices.Contains(s.LocalDomains(), CanonicalDomain(name)) {
		return nil, fmt.Errorf("%s: %w", name, ErrDomainExists)
	}
	file := newFile(path, "domains.conf")
	if at, ok := s.text().Where("Domains"); ok {
		file = at.File
	}
	return edit(file, func(text []byte) ([]byte, error) {
		return config.Set(text, struct{}{}, "Domains", CanonicalDomain(name))
	})
}

// RemoveDomain takes a domain out of every file. It must have no accounts and no
// aliases: they would go with it unseen.
func (s *Settings) RemoveDomain(name string) ([]*Edit, error) {
	name = CanonicalDomain(name)
	switch {
	case name == CanonicalDomain(s.ServerName):
		return nil, fmt.Errorf("%s is the name of this server, whose mail is always kept here", name)
	case !slices.Contains(s.LocalDomains(), name):
		return nil, fmt.Errorf("%s: %w", name, ErrNoDomain)
	}
	var within []string
	s.eachAccount(func(_ []any, written string, _ *Account) { within = append(within, Canonical(written)) })
	s.eachAlias(func(_ []any, written string, _ []string) { within = append(within, Canonical(written)) })
	for _, address := range within {
		if _, domain := CutAddress(address); domain == name {
			return nil, fmt.Errorf("there is still %s in it; remove that first", address)
		}
	}
	return s.editEach(func(one *Settings, text []byte) (_ []byte, err error) {
		one.eachDomain(func(written string, _ *Domain) {
			if err == nil && CanonicalDomain(written) == name {
				text, err = config.Remove(text, "Domains", written)
			}
		})
		return text, err
	})
}

// HasAlias reports whether an address is an alias in the files, as opposed to one
// that holds by default.
func (s *Settings) HasAlias(address string) bool {
	steps, _ := s.findAlias(Canonical(address))
	return steps != nil
}
