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
	"github.com/postrider-mail/postrider/mailstore/s3"
)

// openDatabase opens the mailboxes that are in a database, in place of those in Maildirs.
func (d *Daemon) openDatabase(s *conf.Settings) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, err := OpenDatabase(ctx, s,
		postgres.WithLogger(d.log),
		postgres.WithMemory(seenFile(s)),
		postgres.WithConnections(connections(s)),
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
	all := append(trusted(s), opts...)
	if s.Store.S3.Endpoint != "" {
		bucket, err := bucketOf(s)
		if err != nil {
			return nil, err
		}
		all = append(all, postgres.WithObjects(bucket, int64(s.Store.S3.Above), s.Store.S3.Keep))
	}
	return postgres.Open(ctx, string(s.Store.Postgres), all...)
}

// bucketOf is the storage of large messages.
func bucketOf(s *conf.Settings) (*s3.Bucket, error) {
	c := s.Store.S3
	roots, err := authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	return s3.New(s3.Options{Endpoint: c.Endpoint, Region: c.Region, Bucket: c.Bucket, Prefix: c.Prefix, AccessKey: c.AccessKey, SecretKey: string(c.SecretKey), Roots: roots})
}

// connections are how many a server has to its database at most: what comes in needs few, for it is written together, and attempts to
// deliver need more the more there are at a time.
func connections(s *conf.Settings) int { return 4 + s.Queue.Concurrency/50 }

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

// CanStoreLarge says why large messages cannot be kept in a bucket, for "check".
func CanStoreLarge(ctx context.Context) func(s *conf.Settings) error {
	return func(s *conf.Settings) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		bucket, err := bucketOf(s)
		if err != nil {
			return err
		}
		return bucket.Try(ctx)
	}
}
