package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// generatePassword makes a password of 120 random bits.
func generatePassword() []byte { return []byte(rand.Text()[:24]) }

// derive makes what is kept of a password.
func (f *userFlags) derive(s *conf.Settings, at domains.Address, password []byte) (k conf.Keys, err error) {
	password = sasl.SASLprep(password) // however this keyboard composes accents
	if k.Password, err = passwd.Hash(password); err != nil {
		return k, err
	}
	scram, err := likeBefore(s.Book().Accounts[at], password)
	if err != nil {
		return k, err
	}
	k.ScramSHA256 = sasl.FormatScram(sasl.ScramSHA256, scram)
	k.CRAMMD5 = sasl.FormatCRAM(sasl.MakeCRAM(password))
	if a := s.Book().Accounts[at]; f.apop || a != nil && a.APOP != "" { // who has APOP keeps it
		k.APOP, err = f.sealAPOP(s.SecretKeyFile, at, password)
	}
	return k, err
}

// likeBefore makes keys for SCRAM with the salt that the account has: passwords of its user's devices have the same, and a client is told
// one before it has said which it uses.
func likeBefore(a *conf.Account, password []byte) (*sasl.ScramKeys, error) {
	if a != nil {
		if kind, k, err := sasl.ParseScram(string(a.ScramKeys())); err == nil && kind == sasl.ScramSHA256 && k.Iterations >= sasl.ScramIterations {
			return sasl.DeriveScram(kind, password, k.Salt, k.Iterations)
		}
	}
	return sasl.MakeScram(sasl.ScramSHA256, password, 0)
}

// sealAPOP seals a password with the server's key, which is made if it is not
// there yet, for the user that the server runs as.
func (f *userFlags) sealAPOP(keyFile string, at domains.Address, password []byte) (string, error) {
	key, err := serverKey(keyFile, confPath(f.path))
	if err != nil {
		return "", err
	}
	return key.SealText(password, apopSubject(at))
}

// apopSubject binds a sealed secret to its account.
func apopSubject(address domains.Address) []byte { return []byte("apop:" + address) }

// resealAPOP makes of the secret of one address that of another.
func resealAPOP(keyFile string) conf.Reseal {
	return func(sealed string, from, to domains.Address) (string, error) {
		key, err := seal.LoadKey(keyFile)
		if err != nil {
			return "", err
		}
		secret, err := key.OpenText(sealed, apopSubject(from))
		if err != nil {
			return "", err
		}
		return key.SealText(secret, apopSubject(to))
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
			err = keepOwner(folder, owner)
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
		err = keepOwner(keyFile, dir)
	}
	return key, err
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

// readHidden reads a line from a terminal without showing it. A signal that ends
// the program ends it with the echo on again.
func readHidden(fd int) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	deadly := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
	came, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(came, deadly...)
	defer signal.Stop(came)
	defer close(done)
	go func() {
		select {
		case sig := <-came:
			term.Restore(fd, before)
			signal.Reset(deadly...)
			syscall.Kill(os.Getpid(), sig.(syscall.Signal))
		case <-done:
		}
	}()
	return term.ReadPassword(fd)
}

// usable refuses what no client could send.
func usable(password []byte) ([]byte, error) {
	if err := accounts.Usable(password); err != nil {
		return nil, err
	}
	return password, nil
}
