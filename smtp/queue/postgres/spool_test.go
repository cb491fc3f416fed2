package postgres_test

import (
	"fmt"
	"hash/fnv"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/postgres"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// schema names one of a test's own.
func schema(t testing.TB) string {
	h := fnv.New64a()
	io.WriteString(h, t.Name())
	return fmt.Sprintf("queue_%x", h.Sum64())
}

func connect(t testing.TB, dsn string) *database.Database {
	t.Helper()
	db, err := database.Connect(t.Context(), dsn, database.Options{Schema: schema(t), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func open(t testing.TB, dsn string, opts ...postgres.Option) *postgres.Spool {
	t.Helper()
	s, err := postgres.Open(t.Context(), connect(t, dsn), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSpool(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	for _, way := range []struct{ name, dsn string }{{"Direct", peertest.DSN(db)}, {"Pooler", peertest.Pooler(t, db)}} {
		t.Run(way.name, func(t *testing.T) {
			var mu sync.Mutex
			last := make(map[string]*postgres.Spool)
			spooltest.Run(t, func(t *testing.T) queue.Spool {
				mu.Lock()
				defer mu.Unlock()
				if s := last[t.Name()]; s != nil { // a process that starts anew has ended before
					s.Close()
				}
				s := open(t, way.dsn)
				last[t.Name()] = s
				return s
			})
		})
	}
}
