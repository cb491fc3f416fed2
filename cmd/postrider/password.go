package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// write gives an account a password: gets it, derives the keys, and writes the
// file that change edits.
func (f *userFlags) write(cmd *cobra.Command, name string, change func(*conf.Settings, string, conf.Keys) (*conf.Edit, error)) error {
	if f.stdin && f.generate {
		return usage(cmd, errors.New("either --stdin or --generate"))
	}
	path := confPath(f.path)
	s, err := conf.Load(path)
	if err != nil {
		return err
	}
	at := address(s, name)
	if _, err := change(s, at, conf.Keys{Password: "-"}); err != nil {
		return err // before a password is asked for in vain
	}
	var password []byte
	if f.generate {
		password = generatePassword()
	} else if password, err = askPassword(cmd, at, f.stdin, true); err != nil {
		return err
	}
	keys, err := f.derive(s, at, password)
	if err != nil {
		return err
	}
	file, err := replace(path, func(s *conf.Settings) (*conf.Edit, error) { return change(s, at, keys) })
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.generate {
		fmt.Fprintf(out, "%s\n", password)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s is in %s; a running server knows it after: postrider reload -c %s\n", at, file, path)
	return nil
}

// generatePassword makes a password of 120 random bits.
func generatePassword() []byte { return []byte(rand.Text()[:24]) }

// derive makes what is kept of a password.
func (f *userFlags) derive(s *conf.Settings, at string, password []byte) (k conf.Keys, err error) {
	password = sasl.SASLprep(password) // however this keyboard composes accents
	if k.Password, err = passwd.Hash(password); err != nil {
		return k, err
	}
	scram, err := sasl.MakeScram(sasl.ScramSHA256, password, 0)
	if err != nil {
		return k, err
	}
	k.ScramSHA256 = sasl.FormatScram(sasl.ScramSHA256, scram)
	k.CRAMMD5 = sasl.FormatCRAM(sasl.MakeCRAM(password))
	if a := s.AllAccounts()[at]; f.apop || a != nil && a.APOP != "" { // who has APOP keeps it
		k.APOP, err = sealAPOP(s.SecretKeyFile, at, password)
	}
	return k, err
}

// sealAPOP seals a password with the server's key, which is made if it is not
// there yet, for the user that the server runs as.
func sealAPOP(keyFile, at string, password []byte) (string, error) {
	key, err := serverKey(keyFile)
	if err != nil {
		return "", err
	}
	return key.SealText(password, []byte("apop:"+at))
}

// serverKey is the key that secrets are sealed with.
func serverKey(keyFile string) (seal.Key, error) {
	dir, err := os.Stat(filepath.Dir(keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return seal.Key{}, fmt.Errorf("the key for it belongs into %s, which is not there yet: start the server once", filepath.Dir(keyFile))
	}
	if err != nil {
		return seal.Key{}, err
	}
	key, created, err := seal.EnsureKey(keyFile)
	if err == nil && created {
		err = keepOwner(keyFile, dir)
	}
	return key, err
}

func (f *userFlags) remove(cmd *cobra.Command, name string) error {
	path := confPath(f.path)
	s, err := conf.Load(path)
	if err != nil {
		return err
	}
	at, _, err := account(s, name)
	if err != nil {
		return err
	}
	file, err := replace(path, func(s *conf.Settings) (*conf.Edit, error) { return s.RemoveAccount(at) })
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s is removed from %s; a running server forgets it after: postrider reload -c %s\n", at, file, path)
	if s, err = conf.Load(path); err != nil {
		return nil // it was removed; check says what is left
	}
	for _, problem := range s.Check() {
		fmt.Fprintf(cmd.ErrOrStderr(), "%v\n", problem)
	}
	return nil
}

// askPassword reads a password: from a terminal without showing it, twice if
// it is new, or from the first line of standard input.
func askPassword(cmd *cobra.Command, at string, stdin, fresh bool) ([]byte, error) {
	in := cmd.InOrStdin()
	if stdin {
		line, err := bufio.NewReader(io.LimitReader(in, 2*passwd.MaxPassword)).ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		return usable(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")))
	}
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, usage(cmd, errors.New("standard input is no terminal; give the password with --stdin"))
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s for %s: ", prompt, at)
		defer fmt.Fprintln(cmd.ErrOrStderr())
		return term.ReadPassword(int(f.Fd()))
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

// usable refuses what no client could send.
func usable(password []byte) ([]byte, error) {
	switch {
	case len(password) == 0:
		return nil, errors.New("an empty password is no password; nothing was changed")
	case len(password) > passwd.MaxPassword:
		return nil, fmt.Errorf("the password is longer than %d octets", passwd.MaxPassword)
	case strings.ContainsAny(string(password), "\x00\r\n"):
		return nil, errors.New("the password holds a line break or a NUL, which no protocol can carry")
	}
	return password, nil
}

// replace edits one file of the configuration at path and writes it, whole or
// not at all. The configuration is locked and read again for that, so that two
// edits at the same time both count. It returns the file's name.
func replace(path string, change func(*conf.Settings) (*conf.Edit, error)) (string, error) {
	unlock, err := lock(path)
	if err != nil {
		return "", err
	}
	defer unlock()
	s, err := conf.Load(path)
	if err != nil {
		return "", err
	}
	edit, err := change(s)
	if err != nil {
		return "", err
	}
	return edit.File, publish(edit)
}

// lock holds the folder of a configuration until unlock.
func lock(path string) (unlock func(), err error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { dir.Close() }, nil
}

// publish writes a file with secrets durably, mode 0600. It belongs to the owner of
// the old one, or of the folder, since the server may run as another user.
func publish(e *conf.Edit) error {
	name := e.File
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real // the link stays one
	}
	dir := filepath.Dir(name)
	owner, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		owner, err = os.Stat(dir)
	}
	if err != nil {
		return err
	}
	disk, err := durable.Open(dir)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := disk.ReplaceFile(context.Background(), name, e.Text); err != nil {
		return err
	}
	return keepOwner(name, owner)
}
