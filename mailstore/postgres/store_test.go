package postgres_test

import (
	"fmt"
	"hash/fnv"
	"io"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
	"github.com/postrider-mail/postrider/mailstore/storetest"
)

// opener opens stores in one database, each directory's in a schema of its own.
func opener(t *testing.T, dsn string, more func(dir string) []postgres.Option) func(t *testing.T, dir string) mailstore.Store {
	return func(t *testing.T, dir string) mailstore.Store {
		t.Helper()
		h := fnv.New64a()
		io.WriteString(h, dir)
		opts := []postgres.Option{postgres.WithSchema(fmt.Sprintf("mail_%x", h.Sum64()))}
		if more != nil {
			opts = append(opts, more(dir)...)
		}
		s, err := postgres.Open(t.Context(), dsn, opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	storetest.Run(t, opener(t, dsn, nil))
	t.Run("Quota", func(t *testing.T) {
		var limit func(user string) int64
		open := opener(t, dsn, func(string) []postgres.Option {
			return []postgres.Option{postgres.WithQuota(func(user string) mailstore.Quota { return mailstore.Quota{Octets: limit(user)} })}
		})
		storetest.RunQuota(t, func(t *testing.T, dir string, of func(user string) int64) mailstore.Store {
			limit = of
			return open(t, "quota"+dir)
		})
	})
}
