package maildir

import (
	"log/slog"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Quota bounds what a mailbox or a domain may hold.
type Quota = mailstore.Quota

// Mode says on what terms a store is opened.
type Mode uint8

const (
	// Own is the daemon's mode: the store has one owner at a time, who clears
	// away at start what a crash left in tmp. A second one gets ErrHeld.
	Own Mode = iota
	// Share is for tools that deliver or remove beside a running daemon, as
	// any Maildir program may. Nothing is cleared away.
	Share
	// ReadOnly changes nothing on the disk: no lock is taken, no directory
	// made, and a maildrop opened this way is not exclusive.
	ReadOnly
)

// Option changes how Open sets a store up.
type Option func(*Store)

// WithMode sets the mode; the default is Own.
func WithMode(m Mode) Option { return func(s *Store) { s.mode = m } }

// WithLogger sets where the store tells of what it repaired or set aside; the
// default is nowhere.
func WithLogger(l *slog.Logger) Option { return func(s *Store) { s.log = l } }

// WithDisk makes the store share a Disk, with the queue for instance, so that
// both share their syncs. It must have been opened on the store's file system, and
// the store does not close it. The default is one of the store's own.
func WithDisk(d *durable.Disk) Option { return func(s *Store) { s.c = d } }

// WithQuota asks fn for each mailbox's quota, every time it matters: fn must be
// quick and may change its answers.
func WithQuota(fn func(user string) Quota) Option { return func(s *Store) { s.boxQuota = fn } }

// WithDomainQuota asks fn for each domain's quota, over all its mailboxes.
func WithDomainQuota(fn func(domain string) Quota) Option {
	return func(s *Store) { s.domainQuota = fn }
}

// WithFolders makes what a mailbox holds in its folders count towards its quota, and its domain's: an IMAP server
// puts mail there. Folders are looked at whenever a message comes to the mailbox, so what they
// have grown by since does not make room disappear for other mailboxes of the domain before that.
func WithFolders(count bool) Option { return func(s *Store) { s.countFolders = count } }

// WithCache bounds the listings kept in memory, in messages over all
// mailboxes; one message takes about 250 octets. The default is 400,000.
func WithCache(messages int) Option { return func(s *Store) { s.cache.max = messages } }

// WithReserve keeps octets of the disk free: mail is refused with ErrNoSpace
// while less is left. The default is 16 MiB.
func WithReserve(octets int64) Option { return func(s *Store) { s.reserve = octets } }

// Single makes the root itself the one Maildir of the store, whatever mailbox
// is named: for import and export of Maildirs that belong to no store.
func Single() Option { return func(s *Store) { s.single = true } }

// OwnedBy makes the maildrops of a store give out only files that belong to this user,
// and none behind a symbolic link: for who may read everything, and reads a Maildir in
// whose directories its owner can change what stands where at any moment. With 0, root,
// only links are refused.
func OwnedBy(uid int) Option { return func(s *Store) { s.owned = &uid } }
