package sealed

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/storetest"
)

// ring has a key for every mailbox that it seals.
type ring struct {
	mu   sync.Mutex
	seal func(user string) bool
	keys map[string]*sealedmail.Unlocked
}

func newRing(seal func(string) bool) *ring {
	return &ring{seal: seal, keys: make(map[string]*sealedmail.Unlocked)}
}

func (r *ring) of(user string) *sealedmail.Unlocked {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys[user] == nil {
		u, err := sealedmail.NewKeys()
		if err != nil {
			panic(err)
		}
		r.keys[user] = u
	}
	return r.keys[user]
}

func (r *ring) recipient(user string) (string, error) {
	if !r.seal(user) {
		return "", nil
	}
	return r.of(canonical(user)).Recipient(), nil
}

func canonical(user string) string {
	out := []byte(user)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}

// unlocked is a store all of whose maildrops are unlocked.
type unlocked struct {
	*Store
	ring *ring
}

func (u unlocked) Open(ctx context.Context, user string) (mailstore.Maildrop, error) {
	m, err := u.Store.Open(ctx, user)
	if err == nil {
		m.(Unlocker).Unlock(u.ring.of(canonical(user)).Clone())
	}
	return m, err
}

func openStore(t testing.TB, dir string, r *ring) unlocked {
	t.Helper()
	inner, err := maildir.Open(dir, maildir.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	return unlocked{New(inner, r.recipient, nil), r}
}

// TestStore has the whole suite pass where all mailboxes are sealed, and where some are.
func TestStore(t *testing.T) {
	for name, seal := range map[string]func(string) bool{
		"all":  func(string) bool { return true },
		"some": func(u string) bool { return strings.HasPrefix(canonical(u), "a") },
		"none": func(string) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			rings := make(map[string]*ring)
			var mu sync.Mutex
			storetest.Run(t, func(t *testing.T, dir string) mailstore.Store {
				mu.Lock()
				defer mu.Unlock()
				if rings[dir] == nil {
					rings[dir] = newRing(seal)
				}
				return openStore(t, dir, rings[dir])
			})
		})
	}
}
