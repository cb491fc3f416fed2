package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// openDatabase opens the mailboxes that are in a database, in place of those in Maildirs.
func (d *Daemon) openDatabase(s *conf.Settings) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, err := OpenDatabase(ctx, s,
		postgres.WithLogger(d.log),
		postgres.WithMemory(seenFile(s)),
		postgres.WithQuota(func(user string) mailstore.Quota { return d.quotaFor(user) }),
		postgres.WithDomainQuota(func(domain string) mailstore.Quota { return d.domainQuota(domain) }))
	if err != nil {
		return fmt.Errorf("mail store: %w", err)
	}
	d.database, d.mailKeys = store, mailkeys.NewShared(store)
	d.store, d.boxes = d.sealing(store), InDatabase{store}
	d.closers = append(d.closers, store)
	d.healthy = remembered(5*time.Second, func() error { return store.Check(context.Background()) })
	return d.beOne(ctx, s)
}

// OpenDatabase opens the store in the database of the settings. A database is refused that the server would refuse, by what it has
// written down.
func OpenDatabase(ctx context.Context, s *conf.Settings, opts ...postgres.Option) (*postgres.Store, error) {
	return postgres.Open(ctx, string(s.Store.Postgres), append(trusted(s), opts...)...)
}

// trusted is which databases are.
func trusted(s *conf.Settings) []postgres.Option {
	return []postgres.Option{postgres.WithReplicas(s.Store.Replicas), postgres.WithMemoryOf(seenFile(s))}
}

// seenFile has which database a server has used last.
func seenFile(s *conf.Settings) string { return filepath.Join(s.DataDir, "postgres.seen") }

// remembered asks at most once in so long, for those who ask often.
func remembered(long time.Duration, ask func() error) func() error {
	var mu sync.Mutex
	var at time.Time
	var last error
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(at) > long {
			last = ask()
			at = time.Now()
		}
		return last
	}
}

// CanStore says why mail cannot be kept in a database, for "check".
func CanStore(ctx context.Context) func(s *conf.Settings) error {
	return func(s *conf.Settings) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return postgres.Try(ctx, string(s.Store.Postgres), trusted(s)...)
	}
}
