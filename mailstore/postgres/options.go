package postgres

import (
	"log/slog"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// Option changes how Open sets a store up.
type Option func(*Store)

// WithLogger sets where the store tells of what it met; the default is nowhere.
func WithLogger(l *slog.Logger) Option { return func(s *Store) { s.log = l } }

// WithSchema names the schema that holds the tables, "postrider" if nothing is said: lower-case letters, digits and
// underscores.
func WithSchema(name string) Option { return func(s *Store) { s.options.Schema = name } }

// WithQuota asks fn for each mailbox's quota, every time it matters: fn must be quick and may change its answers.
func WithQuota(fn func(user string) mailstore.Quota) Option {
	return func(s *Store) { s.boxQuota = fn }
}

// WithDomainQuota asks fn for each domain's quota, over all its mailboxes. Where several processes deliver at once it may be
// exceeded by what they have under way.
func WithDomainQuota(fn func(domain string) mailstore.Quota) Option {
	return func(s *Store) { s.domainQuota = fn }
}

// WithLease sets for how long a maildrop stays locked of which nothing is heard, 30 seconds if nothing is said. It is renewed
// after a third of that.
func WithLease(d time.Duration) Option { return func(s *Store) { s.lease = d } }

// WithReplicas refuses servers that have no so many synchronous standbys connected: what is acknowledged is on each of them then.
func WithReplicas(n int) Option { return func(s *Store) { s.options.Replicas = n } }

// WithTimeout bounds how long the store waits for the database to do one thing, 30 seconds if nothing is said.
func WithTimeout(d time.Duration) Option { return func(s *Store) { s.options.Timeout = d } }

// WithCache bounds the listings kept in memory, in messages over all mailboxes; one message takes about 90 octets. The default
// is 400,000.
func WithCache(messages int) Option { return func(s *Store) { s.lists.most = messages } }

// WithConnections bounds the connections to the database, 8 if nothing is said, and never fewer than 5.
func WithConnections(n int) Option { return func(s *Store) { s.options.Connections = n } }

// WithObjects keeps messages of more than so many octets (64 KiB to 1 MiB; each message on its way takes as much memory) outside of the
// database, but for their beginning. What no message names any more is removed so long after its last message (Sweep): a database that
// is restored to an earlier moment needs what was there then.
func WithObjects(o Objects, above int64, keep time.Duration) Option {
	return func(s *Store) {
		s.objects = &objects{Objects: o, above: int(min(max(above, leastAbove), mostAbove)), keep: keep, large: make(chan struct{}, largeAtOnce)}
	}
}

// WithMemory names a file in which the store writes down which server it has used last. A process that starts anew then
// refuses one that is older, the primary of before a failover. Nothing is written down if nothing is said.
func WithMemory(file string) Option {
	return func(s *Store) { s.options.Memory, s.options.MemoryOfOther = file, false }
}

// WithMemoryOf is WithMemory for who goes by what another process has written down, and writes nothing: the file may be somebody else's.
func WithMemoryOf(file string) Option {
	return func(s *Store) { s.options.Memory, s.options.MemoryOfOther = file, true }
}
