package sealed

import (
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
	"github.com/postrider-mail/postrider/mailstore/storetest"
)

// inDatabase opens a store in a database, each directory's in a schema of its own.
func inDatabase(t testing.TB, dsn, dir string, opts ...postgres.Option) *postgres.Store {
	t.Helper()
	h := fnv.New64a()
	io.WriteString(h, dir)
	s, err := postgres.Open(t.Context(), dsn, append(opts, postgres.WithSchema(fmt.Sprintf("mail_%x", h.Sum64())))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestStoreInDatabase has the whole suite pass over a database, where all mailboxes are sealed, and where some are.
func TestStoreInDatabase(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	for name, seal := range map[string]func(string) bool{
		"all":  everybody,
		"some": func(u string) bool { return strings.HasPrefix(canonical(u), "a") },
	} {
		rings := make(map[string]*ring)
		var mu sync.Mutex
		of := func(dir string) *ring {
			mu.Lock()
			defer mu.Unlock()
			if rings[dir] == nil {
				rings[dir] = newRing(seal)
			}
			return rings[dir]
		}
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, dir string) mailstore.Store {
				r := of(dir)
				return unlocked{New(inDatabase(t, dsn, name+dir), r.recipient, nil), r}
			})
			t.Run("Quota", func(t *testing.T) {
				storetest.RunQuota(t, func(t *testing.T, dir string, limit func(user string) int64) mailstore.Store {
					r := of("quota" + dir)
					inner := inDatabase(t, dsn, "quota"+name+dir, postgres.WithQuota(func(user string) mailstore.Quota { return mailstore.Quota{Octets: limit(user)} }))
					return unlocked{New(inner, r.recipient, nil), r}
				})
			})
		})
	}
}
