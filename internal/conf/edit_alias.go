package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
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
func (s *Settings) AddAlias(path string, address domains.Address, targets []string) (*Edit, error) {
	file, steps, err := s.placeOfAlias(path, address, targets)
	if err != nil {
		return nil, err
	}
	_, all := s.findAlias(address)
	all = slices.Clone(all)
	for _, t := range targets {
		if indexOf(all, t) < 0 {
			all = append(all, t)
		}
	}
	return s.edit(file, func(text []byte) ([]byte, error) { return config.Set(text, asWritten(all), steps...) })
}

// TargetError is about an address that an alias is to lead to, and not about the alias.
type TargetError struct{ Err error }

// Error implements error.
func (e *TargetError) Error() string { return e.Err.Error() }

// Unwrap is the error itself.
func (e *TargetError) Unwrap() error { return e.Err }

// placeOfAlias is where an alias stands or goes, and why there can be none.
func (s *Settings) placeOfAlias(path string, address domains.Address, targets []string) (file string, steps []string, err error) {
	if err := checkAddress(strings.Replace(address.String(), "*@", "any@", 1)); err != nil {
		return "", nil, err
	}
	for _, t := range targets {
		if err := checkAddress(t); err != nil {
			return "", nil, &TargetError{err}
		}
	}
	if steps, _ := s.findAccount(address); steps != nil {
		return "", nil, fmt.Errorf("%s is an account, which gets the mail; an alias would never be used", address)
	}
	local, domain := address.Cut()
	if !s.keeps(domain) {
		return "", nil, fmt.Errorf("%s: %w here; add it first: postrider domain add %[1]s", domain, ErrNoDomain)
	}
	if steps, _ := s.findAlias(address); steps != nil {
		at, _ := s.text().Where(anys(steps)...)
		return at.File, steps, nil
	}
	steps, file = []string{"Aliases", address.String()}, newFile(path, "aliases.conf")
	if at, ok := s.text().Where("Aliases"); ok {
		file = at.File
	}
	s.eachDomain(func(name string, d *Domain) {
		if at, ok := s.text().Where("Domains", name); ok && domains.Canonical(name) == domain && local != "*" {
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

// indexOf is where an address stands in a list, or -1.
func indexOf(written []string, address string) int {
	is := domains.CanonicalAddress(address)
	return slices.IndexFunc(written, func(w string) bool { return domains.CanonicalAddress(w) == is })
}

// RemoveAlias takes targets from an alias, or the alias itself where none is named
// or none would be left, in every file that it stands in.
func (s *Settings) RemoveAlias(address domains.Address, targets []string) ([]*Edit, error) {
	steps, has := s.findAlias(address)
	if steps == nil {
		return nil, fmt.Errorf("%s: %w", address, ErrNoAlias)
	}
	left := slices.Clone(has)
	for _, t := range targets {
		i := indexOf(left, t)
		if i < 0 {
			return nil, fmt.Errorf("%s does not lead to %s", address, t)
		}
		left = slices.Delete(left, i, i+1)
	}
	return s.editEach(func(one *Settings, text []byte) (_ []byte, err error) {
		one.eachAlias(func(steps []any, written string, _ []string) {
			switch {
			case err != nil || domains.CanonicalAddress(written) != address:
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
func (s *Settings) findAlias(address domains.Address) (found []string, targets []string) {
	s.eachAlias(func(steps []any, written string, to []string) {
		if domains.CanonicalAddress(written) == address {
			found, targets = words(steps), to
		}
	})
	return found, targets
}

// AddDomain has the mail of a domain kept here. It goes where Domains stands, else
// to a domains.conf in the folder.
func (s *Settings) AddDomain(path string, name domains.Name) (*Edit, error) {
	if err := checkDomain(name.String()); err != nil {
		return nil, err
	}
	if s.keeps(name) {
		return nil, fmt.Errorf("%s: %w", name, ErrDomainExists)
	}
	file := newFile(path, "domains.conf")
	if at, ok := s.text().Where("Domains"); ok {
		file = at.File
	}
	return s.edit(file, func(text []byte) ([]byte, error) {
		return config.Set(text, struct{}{}, "Domains", name.String())
	})
}

// RemoveDomain takes a domain out of every file. It must have no accounts and no
// aliases: they would go with it unseen.
func (s *Settings) RemoveDomain(name domains.Name) ([]*Edit, error) {
	switch {
	case name == domains.Canonical(s.ServerName):
		return nil, fmt.Errorf("%s is the name of this server, whose mail is always kept here", name)
	case !s.keeps(name):
		return nil, fmt.Errorf("%s: %w", name, ErrNoDomain)
	}
	var within []domains.Address
	find := func(written string) {
		if a := domains.CanonicalAddress(written); a.Domain() == name {
			within = append(within, a)
		}
	}
	s.eachAccount(func(_ []any, written string, _ *Account) { find(written) })
	s.eachAlias(func(_ []any, written string, _ []string) { find(written) })
	if len(within) > 0 {
		return nil, fmt.Errorf("there is still %s in it; remove that first", within[0])
	}
	return s.editEach(func(one *Settings, text []byte) (_ []byte, err error) {
		one.eachDomain(func(written string, _ *Domain) {
			if err == nil && domains.Canonical(written) == name {
				text, err = config.Remove(text, "Domains", written)
			}
		})
		return text, err
	})
}

// HasAlias reports whether an address is an alias in the files, as opposed to one
// that holds by default.
func (s *Settings) HasAlias(address domains.Address) bool {
	steps, _ := s.findAlias(address)
	return steps != nil
}
