package conf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Errors of edits.
var (
	ErrNoAccount     = errors.New("no such account")
	ErrAccountExists = errors.New("the account is there already")
)

// Edit is a changed configuration file, not written yet.
type Edit struct {
	File string // its name
	New  bool   // it is not there yet
	Was  []byte // what it held when the settings were read, which the edit is made of
	Text []byte // what it is to hold
}

// Keys are what a password is stored as. Empty ones are left out.
type Keys struct {
	Password    string `json:"password,omitempty"`
	ScramSHA256 string `json:"scram_sha_256,omitempty"`
	CRAMMD5     string `json:"cram_md5,omitempty"`
	APOP        string `json:"apop,omitempty"`
}

// AddAccount adds an account to the configuration at path, the one the settings
// were loaded from: to its domain's Accounts if the domain has some, else
// where Accounts stands, else to accounts.conf in the folder. Comments and layout
// of the file stay.
func (s *Settings) AddAccount(path string, address domains.Address, k Keys) (*Edit, error) {
	return s.AddAccountHolding(path, address, k, 0)
}

// AddAccountHolding is AddAccount with what the mailbox may hold; 0 is as in its domain.
func (s *Settings) AddAccountHolding(path string, address domains.Address, k Keys, q Quota) (*Edit, error) {
	file, steps, err := s.placeOfAccount(path, address)
	if err != nil {
		return nil, err
	}
	value := struct {
		Keys
		Quota Quota `json:"quota,omitempty"`
	}{k, q}
	return s.edit(file, func(text []byte) ([]byte, error) { return config.Set(text, value, steps...) })
}

// placeOfAccount is where a new account goes, and why there can be none.
func (s *Settings) placeOfAccount(path string, address domains.Address) (file string, steps []string, err error) {
	// What Check refuses is not written: the server would not start with it.
	if err := checkAccountAddress(address.String()); err != nil {
		return "", nil, err
	}
	if steps, _ := s.findAccount(address); steps != nil {
		return "", nil, fmt.Errorf("%s: %w", address, ErrAccountExists)
	}
	if alias, _ := s.findAlias(address); alias != nil {
		return "", nil, fmt.Errorf("%s is an alias already (%s); remove that first", address, config.Path(anys(alias)...))
	}
	local, domain := address.Cut()
	steps, file = []string{"Accounts", address.String()}, newFile(path, "accounts.conf")
	if at, ok := s.text().Where("Accounts"); ok {
		file = at.File
	}
	s.eachDomain(func(name string, d *Domain) {
		if domains.Canonical(name) == domain && d.Accounts != nil {
			steps = []string{"Domains", name, "Accounts", local}
			if at, ok := s.text().Where("Domains", name, "Accounts"); ok {
				file = at.File
			}
		}
	})
	return file, steps, nil
}

// newFile is a file of a configuration for what has no place in it yet: one of
// this name in its folder, or the one file that it is.
func newFile(path, name string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, name)
	}
	return path
}

// SetKeys changes the password of an account in the file it stands in. Comments
// and layout of the file, and whatever else the account has, stay.
func (s *Settings) SetKeys(address domains.Address, k Keys) (*Edit, error) {
	steps, a := s.findAccount(address)
	if steps == nil {
		return nil, fmt.Errorf("%s: %w", address, ErrNoAccount)
	}
	if a.PasswordFile != "" {
		return nil, fmt.Errorf("the password of %s stands in %s; change it there", address, a.PasswordFile)
	}
	if note := s.notes[config.Path(anys(steps, "password")...)]; note != "" {
		return nil, fmt.Errorf("the password of %s comes from the %s; change it there", address, note)
	}
	at, _ := s.text().Where(anys(steps)...)
	if s.text().Scalar(anys(steps)...) {
		return s.edit(at.File, func(text []byte) ([]byte, error) { return config.Set(text, k, steps...) })
	}
	if p, ok := s.text().Where(anys(steps, "password")...); ok {
		at = p
	}
	return s.edit(at.File, func(text []byte) (_ []byte, err error) {
		for _, key := range []struct{ name, value string }{
			{"password", k.Password}, {"scram_sha_256", k.ScramSHA256}, {"cram_md5", k.CRAMMD5}, {"apop", k.APOP},
		} {
			at := append(steps[:len(steps):len(steps)], key.name)
			if key.value == "" { // one for the old password must not stay
				text, err = config.Remove(text, at...)
			} else {
				text, err = config.Set(text, key.value, at...)
			}
			if err != nil {
				return nil, err
			}
		}
		return text, nil
	})
}

// RemoveAccount takes an account out of every file that it stands in: accounts
// are merged, and one that stays in any of them could still log in.
func (s *Settings) RemoveAccount(address domains.Address) ([]*Edit, error) {
	if steps, _ := s.findAccount(address); steps == nil {
		return nil, fmt.Errorf("%s: %w", address, ErrNoAccount)
	}
	return s.editEach(func(one *Settings, text []byte) (_ []byte, err error) {
		one.eachAccount(func(steps []any, written string, _ *Account) {
			if err == nil && domains.CanonicalAddress(written) == address {
				text, err = config.Remove(text, words(steps)...)
			}
		})
		return text, err
	})
}

// editEach gives the text of each file of the settings, with what stands in it
// alone, to change, and returns those that it changed.
func (s *Settings) editEach(change func(one *Settings, text []byte) ([]byte, error)) ([]*Edit, error) {
	var edits []*Edit
	for _, name := range s.text().Files() {
		text, _ := s.text().Text(name)
		one, _, failed := load([]string{name}, map[string][]byte{name: text})
		if one == nil {
			return nil, errors.Join(failed...)
		}
		changed, err := change(one, text)
		if err != nil {
			return nil, fmt.Errorf("change %s: %w", name, err)
		}
		if !bytes.Equal(text, changed) {
			edits = append(edits, &Edit{File: name, Was: text, Text: changed})
		}
	}
	return edits, nil
}

// findAccount returns the way to an account, or nil.
func (s *Settings) findAccount(address domains.Address) (found []string, account *Account) {
	s.eachAccount(func(steps []any, written string, a *Account) {
		if domains.CanonicalAddress(written) == address {
			found, account = words(steps), a
		}
	})
	return found, account
}

// words are steps that are keys only.
func words(steps []any) []string {
	keys := make([]string, len(steps))
	for i, step := range steps {
		keys[i] = step.(string)
	}
	return keys
}

func anys(steps []string, more ...any) []any {
	way := make([]any, 0, len(steps)+len(more))
	for _, s := range steps {
		way = append(way, s)
	}
	return append(way, more...)
}

// edit applies change to the text of a file as it was read, or to none where it is not one of
// the files yet.
func (s *Settings) edit(name string, change func([]byte) ([]byte, error)) (*Edit, error) {
	was, there := s.text().Text(name)
	text, err := change(was)
	if err != nil {
		return nil, fmt.Errorf("change %s: %w", name, err)
	}
	return &Edit{File: name, New: !there, Was: was, Text: text}, nil
}
