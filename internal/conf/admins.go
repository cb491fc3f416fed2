package conf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/parsers/config"
)

// Errors of changes of administrators.
var (
	ErrNoAdmin     = errors.New("no such administrator")
	ErrAdminExists = errors.New("the administrator is there already")
)

// checkAdminName says what is wrong with the name of an administrator. It is no address, so that
// nobody takes one for an account.
func checkAdminName(name string) error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("%q is not a name for an administrator; write one of a-z, 0-9, dot, - and _", name)
	}
	return nil
}

// admins are checked as accounts are.
func (c *checker) admins() {
	for name, a := range c.Web.Admins {
		steps := at("Web", "admins", name)
		if err := checkAdminName(name); err != nil {
			c.failKey(steps, "%w", err)
		}
		if a == nil {
			continue
		}
		if a.Password != "" {
			if err := passwd.CheckForm(string(a.Password)); err != nil {
				c.failSecret(append(steps, "password"), "%w; to set it, run: postrider admin password %s", err, shellWord(name))
			}
		}
		switch {
		case a.TOTP == "":
		case !a.TOTP.IsSealed():
			c.failSecret(append(steps, "totp"), "stands here in clear; to make a new one, run: postrider admin totp %s", shellWord(name))
		case c.probes.Sealed != nil:
			if err := c.probes.Sealed(c.SecretKeyFile, string(a.TOTP), TOTPSubject(name)); err != nil {
				c.failSecret(append(steps, "totp"), "%w; to make a new one, run: postrider admin totp %s", err, shellWord(name))
			}
		}
	}
}

// AddAdmin adds an administrator with the hash of a password, where there are some, else where Web
// stands, else in web.conf in the folder.
func (s *Settings) AddAdmin(path, name, hash string) (*Edit, error) {
	if err := checkAdminName(name); err != nil {
		return nil, err
	}
	if s.Web.Admins[name] != nil {
		return nil, fmt.Errorf("%s: %w", name, ErrAdminExists)
	}
	file := newFile(path, "web.conf")
	for _, way := range [][]any{{"Web"}, {"Web", "admins"}} {
		if at, ok := s.text().Where(way...); ok {
			file = at.File
		}
	}
	value := struct {
		Password string `json:"password"`
	}{hash}
	return s.edit(file, func(text []byte) ([]byte, error) { return config.Set(text, value, "Web", "admins", name) })
}

// SetAdminPassword gives an administrator another password; the second factor stays.
func (s *Settings) SetAdminPassword(name, hash string) (*Edit, error) {
	return s.setAdmin(name, "password", hash)
}

// SetAdminTOTP gives an administrator another second factor; an empty one takes it away.
func (s *Settings) SetAdminTOTP(name, sealed string) (*Edit, error) {
	return s.setAdmin(name, "totp", sealed)
}

func (s *Settings) setAdmin(name, key, value string) (*Edit, error) {
	a := s.Web.Admins[name]
	if a == nil {
		return nil, fmt.Errorf("%s: %w", name, ErrNoAdmin)
	}
	way := []string{"Web", "admins", name}
	if note := s.notes[config.Path(anys(way, key)...)]; note != "" {
		return nil, fmt.Errorf("the %s of %s comes from the %s; change it there", key, name, note)
	}
	if value == "" {
		return s.setMember(way, key, nil, a.Password)
	}
	return s.setMember(way, key, value, a.Password)
}

// RemoveAdmin takes an administrator out of every file that has him.
func (s *Settings) RemoveAdmin(name string) ([]*Edit, error) {
	if s.Web.Admins[name] == nil {
		return nil, fmt.Errorf("%s: %w", name, ErrNoAdmin)
	}
	return s.editEach(func(one *Settings, text []byte) ([]byte, error) {
		if one.Web.Admins[name] == nil {
			return text, nil
		}
		return config.Remove(text, "Web", "admins", name)
	})
}
