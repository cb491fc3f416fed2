package mailkeys

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

const ann = "ann@a.test"

func open(t *testing.T) (*Store, *maildir.Store) {
	t.Helper()
	files, err := maildir.Open(t.TempDir(), maildir.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return New(files), files
}

func ring(t *testing.T) *sealedmail.Keyring {
	t.Helper()
	k, _, err := sealedmail.NewKeyring([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestRecipient: mail is taken where settings and keys agree, and is never in clear because one of the two is missing.
func TestRecipient(t *testing.T) {
	s, files := open(t)
	k, other := ring(t), ring(t)
	if to, err := s.Recipient(ann, ""); to != "" || err != nil {
		t.Error(to, err)
	}
	if _, err := s.Recipient(ann, k.Recipient()); err == nil {
		t.Error("mail is taken without keys")
	}
	for _, c := range []struct {
		state     State
		said, to  string
		kept, bad bool
	}{
		{state: Made},
		{state: Made, said: k.Recipient(), to: k.Recipient()},
		{state: Sealed, bad: true},
		{state: Sealed, said: k.Recipient(), to: k.Recipient()},
		{state: Sealed, said: other.Recipient(), bad: true},
		{state: Leaving},
		{state: Leaving, said: k.Recipient(), to: k.Recipient()},
	} {
		err := s.Change(t.Context(), ann, func(b *Box) error {
			b.State, b.Keyring = c.state, k
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if to, err := s.Recipient(ann, c.said); to != c.to || (err != nil) != c.bad {
			t.Errorf("%+v: %q, %v", c, to, err)
		}
	}
	name, err := files.KeysPath(ann)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recipient(ann, ""); err == nil {
		t.Error("a file that is cut counts as none")
	}
	if err := s.Change(t.Context(), ann, func(b *Box) error { b.Keyring = k; return nil }); err == nil {
		t.Error("what cannot be read was overwritten")
	}
}

// TestChangeTwice: two changes of passwords at once lose neither the keys nor each other's password before it is settled.
func TestChangeTwice(t *testing.T) {
	s, files := open(t)
	k := ring(t)
	if err := s.Change(t.Context(), ann, func(b *Box) error { b.Keyring = k; return nil }); err != nil {
		t.Fatal(err)
	}
	keys, err := k.Unlock([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ids := make(chan string, 2)
	for _, password := range []string{"one", "two"} {
		wg.Go(func() {
			id, err := New(files).Begin(t.Context(), ann, keys, []byte(password))
			if err != nil {
				t.Error(err)
			}
			ids <- id
		})
	}
	wg.Wait()
	box, err := s.Of(ann)
	if err != nil || box.Keyring.Passwords() != 3 {
		t.Fatal(err)
	}
	for _, password := range []string{"password", "one", "two"} {
		if _, err := box.Keyring.Unlock([]byte(password)); err != nil {
			t.Error(password, err)
		}
	}
	if err := s.Settle(t.Context(), ann, "no such"); err == nil {
		t.Error("settled what was not begun")
	}
	for range 2 {
		if err := s.Settle(t.Context(), ann, <-ids); err != nil {
			t.Error(err)
		}
	}
	// Nobody knows here which of the two was set last.
	if box, err = s.Of(ann); err != nil || box.Keyring.Passwords() != 2 {
		t.Fatal(err)
	}
	for _, password := range []string{"one", "two"} {
		if _, err := box.Keyring.Unlock([]byte(password)); err != nil {
			t.Error(password, err)
		}
	}
	id, err := s.Begin(t.Context(), ann, keys, []byte("three"))
	if err == nil {
		err = s.Settle(t.Context(), ann, id)
	}
	if box, _ = s.Of(ann); err != nil || box.Keyring.Passwords() != 1 {
		t.Error(err)
	}
}

// TestLost: keys whose passwords are all forgotten are put aside, and come back with one of them.
func TestLost(t *testing.T) {
	s, _ := open(t)
	k, fresh := ring(t), ring(t)
	if err := s.Replace(t.Context(), ann, fresh); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if err := s.Change(t.Context(), ann, func(b *Box) error { b.Keyring = k; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Replace(t.Context(), ann, fresh); err != nil {
		t.Fatal(err)
	}
	keys, err := fresh.Unlock([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bring(t.Context(), ann, keys, []byte("wrong")); !errors.Is(err, sealedmail.ErrPassword) {
		t.Error(err)
	}
	if n, err := s.Bring(t.Context(), ann, keys, []byte("password")); n != 1 || err != nil {
		t.Error(n, err)
	}
	box, err := s.Of(ann)
	if err != nil || len(box.Lost) != 0 || len(box.Keyring.Known()) != 2 || box.Keyring.Recipient() != fresh.Recipient() {
		t.Errorf("%+v, %v", box, err)
	}
}
