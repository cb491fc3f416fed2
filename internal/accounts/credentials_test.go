package accounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
)

// TestLoginPatience: who cannot have a turn in time is told to come back, which
// counts as no guess.
func TestLoginPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := conf.New()
		s.ServerName = "mail.test"
		c := &Credentials{dir: NewDirectory(s), decoy: sasl.NewDecoy(nil), verifier: &passwd.Verifier{Concurrency: 1},
			throttle: newThrottle(over(1, time.Minute), over(1, time.Minute)), repeats: new(repeats), log: slog.New(slog.DiscardHandler)}
		free := make(chan error)
		go c.verifier.Try(t.Context(), passwd.Attempt{Allowed: func() error { return <-free }}) // holds the one slot
		synctest.Wait()
		begin := time.Now()
		for range 3 {
			if _, err := c.Verify(t.Context(), "", "nobody", []byte("x")); !errors.Is(err, sasl.ErrThrottled) {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		}
		if took := time.Since(begin); took != 3*loginPatience {
			t.Errorf("three waits took %v", took)
		}
		free <- errors.New("done")
		if _, err := c.Verify(t.Context(), "", "nobody", []byte("x")); !errors.Is(err, sasl.ErrDenied) {
			t.Errorf("with a turn: %v", err)
		}
	})
}

// account is one whose password is "right".
func account(t *testing.T) *conf.Account {
	t.Helper()
	hash, err := passwd.Hash([]byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	return &conf.Account{Password: conf.Secret(hash)}
}

// settingsOf are settings with these accounts of mail.test.
func settingsOf(t *testing.T, names ...string) *conf.Settings {
	t.Helper()
	s := conf.New()
	s.ServerName, s.SecretKeyFile = "mail.test", filepath.Join(t.TempDir(), "secret.key")
	s.Accounts = make(map[string]*conf.Account)
	for _, name := range names {
		s.Accounts[name+"@mail.test"] = account(t)
	}
	return s
}

func newCredentials(t *testing.T, s *conf.Settings, old *Credentials, log io.Writer) *Credentials {
	t.Helper()
	c, err := New(s, NewDirectory(s), nil, old, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// from is a context of a client at 192.0.2.n.
func from(t *testing.T, n byte) context.Context {
	return sasl.WithPeer(t.Context(), &sasl.Peer{Service: "pop", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, n), Port: 1}})
}

// TestOldPassword: a device that keeps trying one old password has made one
// guess, and locks nobody out who is behind the same address; another password is
// another guess, and a password that becomes right is right at once.
func TestOldPassword(t *testing.T) {
	s := settingsOf(t, "alice", "bob")
	s.Auth.MaxFailuresPerAddress = 5
	c := newCredentials(t, s, nil, io.Discard)
	try := func(c *Credentials, user, password string) error {
		_, err := c.Verify(from(t, 1), "", user, []byte(password))
		return err
	}
	var all sync.WaitGroup
	for _, user := range []string{"alice", "nobody"} {
		for range 30 {
			all.Go(func() {
				if err := try(c, user, "old"); !errors.Is(err, sasl.ErrDenied) {
					t.Errorf("%s: %v", user, err)
				}
			})
		}
		all.Wait()
	}
	if err := try(c, "bob", "right"); err != nil {
		t.Errorf("somebody else is locked out: %v", err)
	}
	for i := range 10 {
		want := sasl.ErrDenied
		if i >= 3 { // two were the old ones
			want = sasl.ErrThrottled
		}
		if err := try(c, "alice", fmt.Sprint("guess", i)); !errors.Is(err, want) {
			t.Errorf("guess %d: %v, want %v", i, err, want)
		}
	}

	c = newCredentials(t, s, nil, io.Discard)
	if err := try(c, "alice", "changed"); !errors.Is(err, sasl.ErrDenied) {
		t.Fatal(err)
	}
	hash, err := passwd.Hash([]byte("changed"))
	if err != nil {
		t.Fatal(err)
	}
	s.Accounts["alice@mail.test"] = &conf.Account{Password: conf.Secret(hash)}
	if err := try(newCredentials(t, s, c, io.Discard), "alice", "changed"); err != nil {
		t.Errorf("a password that has become right: %v", err)
	}
}

// TestActsAsItself: an account acts as itself, however it is named, and as nobody else, with the right password too
// (RFC 4616 §2).
func TestActsAsItself(t *testing.T) {
	cr := newCredentials(t, settingsOf(t, "alice", "bob"), nil, io.Discard)
	for authzid, want := range map[string]error{
		"": nil, "alice": nil, "alice@mail.test": nil, "ALICE@Mail.Test": nil,
		"bob": sasl.ErrDenied, "bob@mail.test": sasl.ErrDenied, "nobody": sasl.ErrDenied, "postmaster": sasl.ErrDenied, "alice@else.test": sasl.ErrDenied, " ": sasl.ErrDenied,
	} {
		for range 2 { // computed, and remembered
			who, err := cr.Verify(from(t, 1), authzid, "alice", []byte("right"))
			if !errors.Is(err, want) || (err == nil) != (want == nil) || (who == "alice@mail.test") != (want == nil) {
				t.Errorf("as %q: %q, %v", authzid, who, err)
			}
		}
	}
}
