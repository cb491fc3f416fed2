package mailkeys

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
)

// shelf is a Place that several share.
type shelf struct {
	mu    sync.Mutex
	text  map[string][]byte
	asked int // times
	read  int
	away  error
}

func (s *shelf) Keys(user string, known any) (text []byte, is any, same bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	text = s.text[user]
	switch {
	case s.away != nil:
		return nil, nil, false, s.away
	case text == nil:
		return nil, nil, false, nil
	case known == string(text):
		return nil, known, true, nil
	}
	s.read++
	return text, string(text), false, nil
}

func (s *shelf) ChangeKeys(_ context.Context, user string, change func([]byte) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh, err := change(s.text[user])
	if err == nil {
		s.text[user] = fresh
	}
	return err
}

// TestShared: who takes mail in asks a place that others share once in a second, and again before he refuses any; who logs in asks each time, and reads only
// what is new; what another server has changed is seen.
func TestShared(t *testing.T) {
	k := ring(t)
	synctest.Test(t, func(t *testing.T) {
		place := &shelf{text: make(map[string][]byte)}
		here, there := NewShared(place), NewShared(place)
		to := func(said, want string, bad bool, asks int) {
			t.Helper()
			before := place.asked
			if got, err := here.Recipient(ann, said); got != want || (err != nil) != bad {
				t.Errorf("%q, %v", got, err)
			}
			if n := place.asked - before; n != asks {
				t.Errorf("it was asked for %d times, not %d", n, asks)
			}
		}
		state := func(s State) {
			t.Helper()
			if err := there.Change(t.Context(), ann, func(b *Box) error { b.Keyring, b.State = k, s; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		to("", "", false, 1)
		to("", "", false, 0)
		state(Made)
		to(k.Recipient(), k.Recipient(), false, 1) // what it has seen would refuse
		to(k.Recipient(), k.Recipient(), false, 0)
		state(Sealed)
		to("", "", false, 0)
		time.Sleep(lateness)
		to("", "", true, 1)
		to("", "", true, 1) // whatever is refused is refused by what is there now
		state(Leaving)
		to("", "", false, 1)

		reads := place.read
		for range 3 {
			if b, err := here.Of(ann); err != nil || b.State != Leaving {
				t.Error(b, err)
			}
		}
		if place.read != reads {
			t.Errorf("what is known was read %d times", place.read-reads)
		}
		place.away = errors.New("away")
		to(k.Recipient(), k.Recipient(), false, 0)
		time.Sleep(lateness)
		to(k.Recipient(), "", true, 1)
		if _, err := here.Of(ann); !errors.Is(err, place.away) {
			t.Error(err)
		}
		place.away = nil
		if err := here.Change(t.Context(), ann, func(b *Box) error { b.State = Sealed; return nil }); err != nil {
			t.Fatal(err)
		}
		to("", "", true, 1) // its own changes are seen at once
		if err := there.Remove(t.Context(), ann, Sealed); err != nil {
			t.Fatal(err)
		}
		if b, err := here.Of(ann); b != nil || err != nil {
			t.Error(b, err)
		}
		place.text[ann] = []byte("{")
		if _, err := here.Of(ann); err == nil || !strings.HasPrefix(err.Error(), "keys of "+ann+": ") {
			t.Error(err)
		}
		to("", "", true, 1)
	})
}

// TestFileErrors: an error of a file says whose keys and which file it is, and what it is about is the mailbox and not its keys' text.
func TestFileErrors(t *testing.T) {
	s, files := open(t)
	k := ring(t)
	if err := s.Change(t.Context(), ann, func(b *Box) error { b.Keyring = k; return nil }); err != nil {
		t.Fatal(err)
	}
	name, err := files.KeysPath(ann)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	var b Box
	if err != nil || json.Unmarshal(text, &b) != nil || !strings.Contains(string(text), "\n\t\"version\": 1") {
		t.Errorf("%v: %.100s", err, text)
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing is read
		if _, err := s.Of(ann); err == nil || !strings.HasPrefix(err.Error(), "keys of "+ann+": "+name+": ") {
			t.Error(err)
		}
	}
	dir := filepath.Dir(name)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // in place of the mailbox
		t.Fatal(err)
	}
	if _, err := s.Of(ann); err == nil || !strings.HasPrefix(err.Error(), "keys of "+ann+": ") {
		t.Error(err)
	}
	if _, err := s.Of("no name"); err == nil {
		t.Error("any name has keys")
	}
	if _, err := New(files).Bring(t.Context(), ann, nil, nil); err == nil || errors.Is(err, sealedmail.ErrPassword) {
		t.Error(err)
	}
}
