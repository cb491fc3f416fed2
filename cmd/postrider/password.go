package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// derive makes what is kept of a password.
func (f *userFlags) derive(s *conf.Settings, at domains.Address, password []byte) (conf.Keys, error) {
	a := s.Book().Accounts[at]
	k, err := accounts.NewKeys(password, a)
	if err == nil && (f.apop || a != nil && a.APOP != "") { // who has APOP keeps it
		var key seal.Key
		if key, err = serverKey(s.SecretKeyFile, confPath(f.path)); err == nil {
			k.APOP, err = accounts.SealAPOP(key, at, password)
		}
	}
	return k, err
}

// resealAPOP makes of the secret of one address that of another.
func resealAPOP(keyFile string) conf.Reseal {
	return func(sealed string, from, to domains.Address) (string, error) {
		key, err := seal.LoadKey(keyFile)
		if err != nil {
			return "", err
		}
		return accounts.ResealAPOP(key, sealed, from, to)
	}
}

// serverKey is the key that secrets are sealed with. Where it has no folder yet, one
// is made for the owner of the configuration at path.
func serverKey(keyFile, path string) (seal.Key, error) {
	owner, err := os.Stat(path)
	if err != nil {
		return seal.Key{}, err
	}
	folder := filepath.Dir(keyFile)
	dir, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) { // before the first start
		if err = os.MkdirAll(folder, 0o700); err == nil {
			err = sys.GiveLike(folder, owner)
		}
		if err == nil {
			dir, err = os.Stat(folder)
		}
	}
	if err != nil {
		return seal.Key{}, err
	}
	key, created, err := seal.EnsureKey(keyFile)
	if err == nil && created {
		err = sys.GiveLike(keyFile, dir)
	}
	return key, err
}

// askPassword reads a password: from a terminal without showing it, twice if
// it is new, or from the first line of standard input.
func askPassword(cmd *cobra.Command, at string, stdin, fresh bool) ([]byte, error) {
	in := cmd.InOrStdin()
	if stdin {
		line, err := readLine(in)
		if err != nil {
			return nil, err
		}
		return usable(line)
	}
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, usage(cmd, errors.New("standard input is no terminal; give the password with --stdin"))
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s for %s: ", prompt, at)
		defer fmt.Fprintln(cmd.ErrOrStderr())
		return readHidden(int(f.Fd()))
	}
	if !fresh {
		return ask("Password")
	}
	password, err := ask("New password")
	if err == nil {
		password, err = usable(password)
	}
	if err != nil {
		return nil, err
	}
	again, err := ask("The same again")
	if err == nil && !bytes.Equal(password, again) {
		err = errors.New("the two are not the same; nothing was changed")
	}
	return password, err
}

// readLine reads a line and nothing behind it: there may be more to ask for.
func readLine(in io.Reader) ([]byte, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < 2*passwd.MaxPassword; {
		n, err := in.Read(one)
		if n > 0 && one[0] != '\n' {
			line = append(line, one[0])
		}
		if n > 0 && one[0] == '\n' || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read what was asked for: %w", err)
		}
	}
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// readHidden reads a line from a terminal without showing it. A signal that ends
// the program ends it with the echo on again.
func readHidden(fd int) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	deadly := sys.Ends()
	came, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(came, deadly...)
	defer signal.Stop(came)
	defer close(done)
	go func() {
		select {
		case sig := <-came:
			term.Restore(fd, before)
			signal.Reset(deadly...)
			sys.Die(sig)
		case <-done:
		}
	}()
	return term.ReadPassword(fd)
}

// usable refuses what no client could send.
func usable(password []byte) ([]byte, error) {
	if err := accounts.Usable(password); err != nil {
		return nil, fmt.Errorf("%w; nothing was changed", err)
	}
	return password, nil
}
