package conf

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// SetQuota says what the mailbox of an account may hold; 0 is as in its domain.
func (s *Settings) SetQuota(address domains.Address, q Quota) (*Edit, error) {
	if q == 0 {
		return s.setAccount(address, "quota", nil)
	}
	return s.setAccount(address, "quota", q)
}

// SetDisabled blocks an account, or lets it in again, also one that others keep.
func (s *Settings) SetDisabled(address domains.Address, disabled bool) (*Edit, error) {
	if steps, _ := s.findAccount(address); steps == nil && s.Elsewhere.Knows(address.Domain()) {
		return s.setDisabledElsewhere(address, disabled)
	}
	if !disabled {
		return s.setAccount(address, "disabled", nil)
	}
	return s.setAccount(address, "disabled", true)
}

// setDisabledElsewhere is SetDisabled where others keep an account.
func (s *Settings) setDisabledElsewhere(address domains.Address, disabled bool) (*Edit, error) {
	if err := checkAddress(address.String()); err != nil {
		return nil, err
	}
	steps := []string{"Elsewhere", "Accounts", address.String()}
	for name := range s.Elsewhere.Accounts {
		if domains.CanonicalAddress(name) == address {
			steps[2] = name
		}
	}
	at, ok := s.text().Where(anys(steps)...)
	if !ok {
		at, ok = s.text().Where("Elsewhere", "Accounts")
	}
	if !ok {
		at, _ = s.text().Where("Elsewhere")
	}
	return s.edit(at.File, func(text []byte) ([]byte, error) {
		if !disabled {
			return config.Remove(text, steps...)
		}
		return config.Set(text, map[string]bool{"disabled": true}, steps...)
	})
}

// SetSealed says to which public key mail of an account is sealed; empty: to none.
func (s *Settings) SetSealed(address domains.Address, recipient string) (*Edit, error) {
	if recipient == "" {
		return s.setAccount(address, "sealed", nil)
	}
	return s.setAccount(address, "sealed", recipient)
}

// setAccount sets one thing of an account where it stands, else beside the rest of it; a nil value takes it out.
func (s *Settings) setAccount(address domains.Address, key string, value any) (*Edit, error) {
	steps, a := s.findAccount(address)
	if steps == nil {
		return nil, fmt.Errorf("%s: %w", address, ErrNoAccount)
	}
	return s.setMember(steps, key, value, a.Password)
}

// setMember sets a member of the object at steps; a nil value takes it out. Where a text stands in place of the object, that is its password.
func (s *Settings) setMember(steps []string, key string, value any, password Secret) (*Edit, error) {
	at, ok := s.text().Where(anys(steps, key)...)
	if !ok {
		at, _ = s.text().Where(anys(steps)...)
	}
	alone := s.text().Scalar(anys(steps)...)
	way := append(slices.Clone(steps), key)
	written := string(password)
	if name, ok := strings.CutPrefix(s.notes[config.Path(anys(steps, "password")...)], fromEnvironment); ok {
		written = "env:" + name // what the environment has is not for a file
	}
	return s.edit(at.File, func(text []byte) (_ []byte, err error) {
		if alone {
			if text, err = config.Set(text, map[string]string{"password": written}, steps...); err != nil {
				return nil, err
			}
		}
		if value == nil {
			return config.Remove(text, way...)
		}
		return config.Set(text, value, way...)
	})
}

// SetDomainDisabled blocks all accounts of a domain, or lets them in again.
func (s *Settings) SetDomainDisabled(path string, name domains.Name, disabled bool) (*Edit, error) {
	if !disabled {
		return s.setDomain(path, name, "disabled", nil)
	}
	return s.setDomain(path, name, "disabled", true)
}

// SetDomainQuota says what each mailbox of a domain may hold; 0 is as in Store.
func (s *Settings) SetDomainQuota(path string, name domains.Name, each config.Size) (*Edit, error) {
	if each == 0 {
		return s.setDomain(path, name, "quota", nil)
	}
	return s.setDomain(path, name, "quota", each)
}

// SetDomainTotal says what all mailboxes of a domain may hold together; 0 is any amount.
func (s *Settings) SetDomainTotal(path string, name domains.Name, total config.Size) (*Edit, error) {
	if total == 0 {
		return s.setDomain(path, name, "total_quota", nil)
	}
	return s.setDomain(path, name, "total_quota", total)
}

// setDomain sets one thing of a domain; a nil value takes it out.
func (s *Settings) setDomain(path string, name domains.Name, key string, value any) (*Edit, error) {
	if !s.keeps(name) {
		return nil, fmt.Errorf("%s: %w", name, ErrNoDomain)
	}
	steps := []string{"Domains", name.String()}
	s.eachDomain(func(written string, _ *Domain) {
		if domains.Canonical(written) == name {
			steps[1] = written
		}
	})
	if s.text().Has(anys(steps)...) {
		return s.setMember(steps, key, value, "")
	}
	file := newFile(path, "domains.conf") // it is a domain here by its accounts
	if at, ok := s.text().Where("Domains"); ok {
		file = at.File
	}
	members := make(map[string]any)
	if value != nil {
		members[key] = value
	}
	return s.edit(file, func(text []byte) ([]byte, error) { return config.Set(text, members, steps...) })
}

// SetAlias has an address lead to these targets and no others. It must be an alias already.
func (s *Settings) SetAlias(path string, address domains.Address, targets []string) (*Edit, error) {
	if !s.HasAlias(address) {
		return nil, fmt.Errorf("%s: %w", address, ErrNoAlias)
	}
	file, steps, err := s.placeOfAlias(path, address, targets)
	if err != nil {
		return nil, err
	}
	return s.edit(file, func(text []byte) ([]byte, error) { return config.Set(text, asWritten(targets), steps...) })
}

// AliasesAsWritten are the targets of an alias of the files as these have them, with their domains.
func (s *Settings) AliasesAsWritten(address domains.Address) []string {
	_, targets := s.findAlias(address)
	return targets
}

// WrittenAliases are the addresses that are aliases in the files, as opposed to those that are by default.
func (s *Settings) WrittenAliases() map[domains.Address]bool {
	all := make(map[domains.Address]bool)
	s.eachAlias(func(_ []any, written string, _ []string) { all[domains.CanonicalAddress(written)] = true })
	return all
}

// DomainNamed is a domain of the files; nil if none has it.
func (s *Settings) DomainNamed(name domains.Name) (found *Domain) {
	s.eachDomain(func(written string, d *Domain) {
		if domains.Canonical(written) == name {
			found = d
		}
	})
	return found
}

// WhereAccount is where an account stands, and where its password comes from if that is neither there nor to be changed there.
func (s *Settings) WhereAccount(address domains.Address) (at, password string) {
	steps, a := []string{"Accounts", address.String()}, s.Accounts[address.String()]
	if a == nil { // it is written in another way, or in its domain: all of them are looked through
		if steps, a = s.findAccount(address); a == nil {
			return "", ""
		}
	}
	if a.PasswordFile != "" {
		password = "file " + a.PasswordFile
	}
	return s.origin(anys(steps)), cmp.Or(s.notes[config.Path(anys(steps, "password")...)], password)
}

// WhereBlocked is where an account that others keep is blocked; empty: nowhere.
func (s *Settings) WhereBlocked(address domains.Address) string {
	for name := range s.Elsewhere.Accounts {
		if domains.CanonicalAddress(name) == address {
			return s.origin([]any{"Elsewhere", "Accounts", name})
		}
	}
	return ""
}

// WhereAlias is where an alias stands; empty for one that holds by default.
func (s *Settings) WhereAlias(address domains.Address) string {
	steps, _ := s.findAlias(address)
	if steps == nil {
		return ""
	}
	return s.origin(anys(steps))
}

// WhereDomain is where a domain stands; empty for one that is here by its accounts, or as the server's name.
func (s *Settings) WhereDomain(name domains.Name) (at string) {
	s.eachDomain(func(written string, _ *Domain) {
		if domains.Canonical(written) == name {
			at = s.origin([]any{"Domains", written})
		}
	})
	return at
}

// Setting is one value in force.
type Setting struct {
	Path  string
	Value string // as it is written; a secret is stars
	// From is where it came from: a place in a file, "default", or "environment NAME".
	From    string
	Default bool // no file has it
}

// List are the settings in force in the order of the manual, but for who has an account or an alias, of whom there may
// be very many.
func (s *Settings) List() []Setting {
	some := *s
	some.Accounts, some.Aliases, some.Domains = nil, nil, maps.Clone(s.Domains)
	for name, d := range some.Domains {
		if d != nil {
			d := *d
			d.Accounts, d.Aliases = nil, nil
			some.Domains[name] = &d
		}
	}
	var all []Setting
	eachSetting(reflect.ValueOf(&some), func(v setting) {
		origin := s.origin(v.steps)
		all = append(all, Setting{config.Path(v.steps...), render(v.value), origin, origin == byDefault})
	})
	return all
}
