package mailkeys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/sealedmail"
)

// State is how far a mailbox is.
type State string

// The states of a mailbox that has keys.
const (
	Made    State = "made"    // the keys are there; nothing is sealed before the settings say so
	Sealed  State = "sealed"  // mail is sealed
	Leaving State = "leaving" // it is being unsealed: mail is sealed while the settings say so
)

// Box is what is kept of a mailbox. What Of returns is shared and must not be changed.
type Box struct {
	Version int                 `json:"version"` // of this file
	State   State               `json:"state"`
	Keyring *sealedmail.Keyring `json:"keyring"`
	// Lost are keyrings whose passwords and recovery key were all forgotten, so far: mail from before needs them.
	Lost []*sealedmail.Keyring `json:"lost,omitempty"`
}

// version is that of the file. Older ones are read for ever.
const version = 1

// ErrNone: the mailbox has no keys.
var ErrNone = errors.New("the mailbox has no keys: it is not sealed")

// NewKeyring is sealedmail.NewKeyring, for a password as accounts know it: however a keyboard composes accents (SASLprep, RFC 4013). What
// opens the account would else not open its mail where one program writes an accent as a letter of its own and another does not.
func NewKeyring(password []byte) (k *sealedmail.Keyring, recovery string, err error) {
	return sealedmail.NewKeyring(sasl.SASLprep(password))
}

// Unlock opens a keyring with a password as accounts know it.
func Unlock(k *sealedmail.Keyring, password []byte) (*sealedmail.Unlocked, error) {
	return k.Unlock(sasl.SASLprep(password))
}

// Store keeps the keys of all mailboxes. Its methods may be called concurrently, and beside those of other processes.
type Store struct {
	place Place
	late  time.Duration // for so long what was seen of a mailbox is believed by who takes mail in
	mu    sync.Mutex
	held  map[string]held // by user
}

// held is what was last seen of a mailbox.
type held struct {
	is  any // of Place.Keys; nil: it has no keys
	box *Box
	err error
	at  time.Time
}

// New gives the keys that stand in files.
func New(files Files) *Store { return &Store{place: inFiles{files}, held: make(map[string]held)} }

// lateness is how long it may take until a server that shares a place with others, and whose settings do not say that a mailbox is sealed, learns from its keys that it is.
const lateness = time.Second

// NewShared gives the keys that stand in a place that several servers share, where looking costs more than in files: who takes mail in looks once
// in a second, but looks again before he refuses any. Everybody else looks each time.
func NewShared(place Place) *Store {
	return &Store{place: place, late: lateness, held: make(map[string]held)}
}

// Of returns what is kept of a mailbox; nil: it has no keys. They are looked at each time, and read when they are others than before.
func (s *Store) Of(user string) (*Box, error) {
	s.mu.Lock()
	h := s.held[user]
	s.mu.Unlock()
	text, is, same, err := s.place.Keys(user, h.is)
	if err != nil {
		return nil, err
	}
	if !same {
		h = held{is: is}
		if text != nil {
			h.box, h.err = parse(text)
		}
		if h.err != nil {
			at := ""
			if where, ok := is.(fmt.Stringer); ok {
				at = where.String() + ": "
			}
			h.err = fmt.Errorf("keys of %s: %s%w", user, at, h.err)
		}
	}
	h.at = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.is == nil && s.late == 0 {
		delete(s.held, user)
	} else {
		s.held[user] = h
	}
	return h.box, h.err
}

// lately is what was seen of a mailbox not long ago; false: nothing was.
func (s *Store) lately(user string) (*Box, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[user]
	return h.box, ok && h.err == nil && time.Since(h.at) < s.late
}

// forget has a mailbox looked at again.
func (s *Store) forget(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, user)
}

func parse(text []byte) (*Box, error) {
	var b Box
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, err
	}
	switch {
	case b.Version != version:
		return nil, fmt.Errorf("version %d", b.Version)
	case b.Keyring == nil:
		return nil, errors.New("there is no key in it")
	case !slices.Contains([]State{Made, Sealed, Leaving}, b.State):
		return nil, fmt.Errorf("state %q", b.State)
	}
	return &b, nil
}

// Change changes what is kept of a mailbox, as far as change returns nil. Where it had none the box is empty, without a
// Keyring, and has to get one. When it returns nil, that is on stable storage. What cannot be read is not overwritten.
func (s *Store) Change(ctx context.Context, user string, change func(*Box) error) error {
	defer s.forget(user)
	return s.place.ChangeKeys(ctx, user, func(text []byte) ([]byte, error) {
		b := &Box{Version: version, State: Made}
		if text != nil {
			var err error
			if b, err = parse(text); err != nil {
				return nil, fmt.Errorf("keys of %s: %w", user, err)
			}
		}
		if err := change(b); err != nil {
			return nil, err
		}
		if b.Keyring == nil {
			return nil, ErrNone
		}
		return json.MarshalIndent(b, "", "\t")
	})
}

// Remove takes the keys of a mailbox away, if it is still in this state.
func (s *Store) Remove(ctx context.Context, user string, in State) error {
	defer s.forget(user)
	return s.place.ChangeKeys(ctx, user, func(text []byte) ([]byte, error) {
		if text == nil {
			return nil, nil
		}
		b, err := parse(text)
		if err == nil && b.State != in {
			err = fmt.Errorf("keys of %s: their state is %q meanwhile", user, b.State)
		}
		return nil, err
	})
}

// Recipient is the public key that mail for a mailbox is sealed to, where the settings name this one (empty: none). It is empty where
// the mailbox is not sealed; an error says why mail cannot be taken now.
func (s *Store) Recipient(user, said string) (string, error) {
	if b, ok := s.lately(user); ok {
		if to, err := agree(user, said, b); err == nil {
			return to, nil
		}
	}
	b, err := s.Of(user)
	if err != nil {
		return "", err
	}
	return agree(user, said, b)
}

// agree is the public key that settings and keys agree upon.
func agree(user, said string, b *Box) (string, error) {
	switch {
	case b == nil && said == "":
		return "", nil
	case b == nil:
		return "", fmt.Errorf("keys of %s: the settings say that it is sealed, but its keys are not there; restore brings them back from a backup", user)
	case said == "" && b.State == Sealed:
		return "", fmt.Errorf(`keys of %s: it has keys, but the settings do not say that it is sealed: "sealed": %q is missing there, or "postrider user unseal" was not used`, user, b.Keyring.Recipient())
	case said != "" && !slices.Contains(b.Keyring.Known(), said):
		return "", fmt.Errorf("keys of %s: those that are there are not of the public key that the settings name; was the file exchanged? restore brings it back from a backup", user)
	}
	return said, nil
}

// Problem is Recipient for who wants to hear of errors alone.
func (s *Store) Problem(user, said string) error {
	_, err := s.Recipient(user, said)
	return err
}

// Begin wraps a password that is going to be set beside those that open the keys, which keys must have opened. id is for Settle, when it is
// set. Without that both open them.
func (s *Store) Begin(ctx context.Context, user string, keys *sealedmail.Unlocked, password []byte) (id string, err error) {
	err = s.Change(ctx, user, func(b *Box) error {
		if b.Keyring == nil {
			return ErrNone
		}
		var err error
		id, err = b.Keyring.AddPassword(keys, sasl.SASLprep(password))
		return err
	})
	return id, err
}

// Settle has no other password open the keys than the one that Begin has wrapped.
func (s *Store) Settle(ctx context.Context, user, id string) error {
	return s.Change(ctx, user, func(b *Box) error {
		if b.Keyring == nil {
			return ErrNone
		}
		return b.Keyring.KeepPassword(id)
	})
}

// Replace gives a mailbox whose passwords and recovery key are all lost new keys, to which mail to come is sealed. Those there were stay,
// for who finds one of them (Bring).
func (s *Store) Replace(ctx context.Context, user string, fresh *sealedmail.Keyring) error {
	return s.Change(ctx, user, func(b *Box) error {
		if b.Keyring == nil {
			return ErrNone
		}
		b.Lost, b.Keyring = append(b.Lost, b.Keyring), fresh
		return nil
	})
}

// Bring has mail opened again whose keys were lost, by a recovery key or password of these that was found. keys are those of now.
func (s *Store) Bring(ctx context.Context, user string, keys *sealedmail.Unlocked, found []byte) (n int, err error) {
	err = s.Change(ctx, user, func(b *Box) error {
		var left []*sealedmail.Keyring
		for _, k := range b.Lost {
			old, err := k.Recover(string(found))
			if err != nil {
				old, err = Unlock(k, found)
			}
			if err == nil {
				err = b.Keyring.Adopt(keys, old)
				n++
			} else {
				left, err = append(left, k), nil
			}
			if err != nil {
				return err
			}
		}
		b.Lost = left
		if n == 0 {
			return sealedmail.ErrPassword
		}
		return nil
	})
	return n, err
}

// Turns bounds how many keys are derived at a time: each takes 64 MiB.
type Turns chan struct{}

// NewTurns lets n be derived at a time.
func NewTurns(n int) Turns { return make(Turns, n) }

// patience is how long a login waits for its turn.
const patience = 30 * time.Second

// Unlock opens a keyring with a password when its turn comes.
func (t Turns) Unlock(ctx context.Context, k *sealedmail.Keyring, password []byte) (*sealedmail.Unlocked, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-t }()
	return Unlock(k, password)
}
