package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/parsers/config"
)

// fillSecrets takes secrets from the environment and from files of their own.
// What goes wrong is kept for Check.
func (s *Settings) fillSecrets() {
	s.notes = make(map[string]string)
	eachSetting(reflect.ValueOf(s), func(v setting) {
		if v.value.Type() != reflect.TypeFor[Secret]() {
			return
		}
		name, ok := strings.CutPrefix(v.value.Interface().(Secret).reveal(), "env:")
		if !ok {
			return
		}
		text := os.Getenv(name)
		if text == "" {
			s.fault(v.steps, "the environment has no %q", name)
		}
		s.notes[config.Path(v.steps...)] = fromEnvironment + name
		v.value.SetString(text)
	})
	s.eachAccount(func(steps []any, _ string, a *Account) {
		s.fromFile(steps, "password", &a.Password, a.PasswordFile)
	})
	for i := range s.Queue.Routes {
		r := &s.Queue.Routes[i]
		s.fromFile([]any{"Queue", "Routes", i}, "password", &r.Password, r.PasswordFile)
	}
	for i := range s.Verify.Lists {
		l := &s.Verify.Lists[i]
		s.fromFile([]any{"Verify", "Lists", i}, "key", &l.Key, l.KeyFile)
	}
	for i := range s.Elsewhere.LDAP {
		l := &s.Elsewhere.LDAP[i]
		s.fromFile([]any{"Elsewhere", "LDAP", i}, "service_password", &l.ServicePassword, l.ServicePasswordFile)
	}
	provider := &s.Elsewhere.OpenID
	s.fromFile([]any{"Elsewhere", "OpenID"}, "client_secret", &provider.ClientSecret, provider.ClientSecretFile)
	bucket := &s.Store.S3
	s.fromFile([]any{"Store", "S3"}, "secret_key", &bucket.SecretKey, bucket.SecretKeyFile)
	scanner := &s.Verify.Scanner
	s.fromFile([]any{"Verify", "Scanner"}, "password", &scanner.Password, scanner.PasswordFile)
}

// fromEnvironment is what the note of a secret begins with that the environment has given.
const fromEnvironment = "environment "

func (s Secret) reveal() string { return string(s) }

// fromFile fills a secret, of this key, from the first line of its file.
func (s *Settings) fromFile(steps []any, key string, to *Secret, name string) {
	if name == "" {
		return
	}
	at := append(steps[:len(steps):len(steps)], key+"_file")
	if *to != "" {
		s.fault(at, "there is a %s as well; keep one of the two", key)
		return
	}
	text, err := firstLine(name)
	switch {
	case err != nil:
		s.fault(at, "%w", err)
	case text == "":
		s.fault(at, "the first line of %s is empty", name)
	}
	*to = Secret(text)
	s.notes[config.Path(append(steps[:len(steps):len(steps)], key)...)] = "file " + name
}

// firstLine reads a secret. Its file must be closed to others.
func firstLine(name string) (string, error) {
	const longest = 64 << 10
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if err := private(name, info.Mode()); err != nil {
		return "", fmt.Errorf("%s %w", name, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if len(line) > longest {
		return "", fmt.Errorf("the first line of %s is longer than any password", name)
	}
	return string(bytes.TrimSuffix(line, []byte("\r"))), nil
}

// errOpen: whoever can read the file has the secrets already.
var errOpen = errors.New("holds secrets and is open to others")

// private refuses a file with secrets that not only its owner can read.
func private(name string, mode fs.FileMode) error {
	if mode.IsRegular() && sys.Others(mode) != 0 && !isCredential(name, mode) {
		return fmt.Errorf("%w (mode %04o); run: chmod 600 %s", errOpen, mode.Perm(), name)
	}
	return nil
}

// isCredential knows a credential that systemd passes to this process alone:
// where it grants the right by an access control list, that shows as the
// group's right to read (systemd.exec(5), LoadCredential).
func isCredential(name string, mode fs.FileMode) bool {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	return dir != "" && filepath.Dir(name) == filepath.Clean(dir) && mode.Perm()&0o037 == 0
}

// HoldSecrets are the configuration files that hold secrets, which must be closed to others.
func (s *Settings) HoldSecrets() map[string]bool {
	holds := make(map[string]bool)
	eachSetting(reflect.ValueOf(s), func(v setting) {
		if v.value.Type() != reflect.TypeFor[Secret]() || v.value.String() == "" {
			return
		}
		if len(s.notes) > 0 && s.notes[config.Path(v.steps...)] != "" {
			return // it stands elsewhere
		}
		origin, ok := s.text().Where(v.steps...)
		if !ok { // an account that is only its password
			origin, _ = s.text().Where(v.steps[:len(v.steps)-1]...)
		}
		holds[origin.File] = true
	})
	return holds
}

// openFiles finds the configuration files that hold secrets and can be read by
// others.
func (c *checker) openFiles() {
	holds := c.HoldSecrets()
	for _, name := range c.text().Files() {
		if _, edited := c.edited[name]; edited || !holds[name] {
			continue
		}
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was there when it was read
		}
		if err == nil {
			err = private(name, info.Mode())
		}
		if err != nil {
			c.errs = append(c.errs, problem{&config.Error{Name: name, Err: err}, false})
		}
	}
}
