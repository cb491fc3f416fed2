package maildir

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Store keeps mailboxes as Maildirs below one directory. It implements
// mailstore.Store and is safe for concurrent use.
type Store struct {
	root   string
	mode   Mode
	single bool // see Single
	owned  *int // see OwnedBy; nil for everybody's files
	log    *slog.Logger
	c      *durable.Disk
	fs     durable.FS
	name   *namer

	boxQuota     func(user string) Quota
	domainQuota  func(domain string) Quota
	countFolders bool
	reserve      int64

	owner   *os.File // holds the owner lock; nil unless mode is Own
	opened  bool     // c is the store's own, to be closed with it
	closed  atomic.Bool
	cache   listingCache // which listings stay in memory
	domains domainsInfo  // usage per domain, where a quota asks for it

	seed  maphash.Seed // for sets of ids
	mu    sync.Mutex
	boxes map[string]*box // by path below root
}

var _ mailstore.Store = (*Store)(nil)

// Open opens the store below root, making the directory if it is not there
// (except in ReadOnly mode). Close it when done.
func Open(root string, opts ...Option) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("maildir: open store: %w", err)
	}
	s := &Store{
		root: root, log: slog.New(slog.DiscardHandler), boxes: make(map[string]*box),
		seed: maphash.MakeSeed(), reserve: 16 << 20, cache: listingCache{max: 400_000},
	}
	for _, o := range opts {
		o(s)
	}
	if s.name, err = newNamer(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		s.Close()
		return nil, wrap("maildir: open store", err)
	}
	return s, nil
}

func (s *Store) open() error {
	if s.mode != ReadOnly {
		if err := os.MkdirAll(s.root, 0o700); err != nil {
			return err
		}
	}
	if _, err := os.ReadDir(s.root); err != nil {
		return err
	}
	if s.c == nil {
		var err error
		if s.c, err = durable.Open(s.root); err != nil {
			return err
		}
		s.opened = true
	}
	s.fs = s.c.FS()
	if s.mode != Own {
		return nil
	}
	var err error
	if s.owner, err = takeOwnership(s.root); err != nil {
		return err
	}
	// The root's own entry, in case it was made just now.
	if err := s.c.Commit(context.Background(), &durable.Tx{Dirs: []string{filepath.Dir(s.root)}}); err != nil {
		return err
	}
	return s.clean()
}

// Close gives up the ownership of the store: what is done with it afterwards, and
// what was begun and not yet committed, fails with mailstore.ErrClosed. Nothing may
// be under way while it is called. It is safe to call twice.
func (s *Store) Close() error {
	s.closed.Store(true)
	var err error
	if s.owner != nil {
		err = releaseOwnership(s.owner)
		s.owner = nil
	}
	if s.opened {
		err = errors.Join(err, s.c.Close())
	}
	return err
}

// Err is nil while the store is sound, and an error that is
// mailstore.ErrPoisoned after a sync has failed. After Close it is
// mailstore.ErrClosed.
func (s *Store) Err() error {
	if s.closed.Load() {
		return mailstore.ErrClosed
	}
	return wrap("maildir", s.c.Err())
}

// Root is the directory the store is in, as an absolute path.
func (s *Store) Root() string { return s.root }

// Path is the Maildir of a mailbox, whether it is there or not.
func (s *Store) Path(user string) (string, error) {
	b, err := s.box(user)
	if err != nil {
		return "", err
	}
	return b.dir, nil
}

// Has reports whether a mailbox is there. The first delivery makes one, so an
// account that never got mail has none.
func (s *Store) Has(user string) (bool, error) {
	b, err := s.box(user)
	if err != nil {
		return false, err
	}
	return holdsMail(b.dir), nil
}

// singleUser is what the mailbox of a Single store is called.
const singleUser = "mailbox@single.invalid"

// box returns the one box for a mailbox.
func (s *Store) box(user string) (*box, error) {
	if s.closed.Load() {
		return nil, mailstore.ErrClosed
	}
	rel, err := boxPath(user)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := singleUser
	if s.single {
		rel = "."
	} else {
		domain, local := filepath.Split(rel)
		name, _ = boxUser(filepath.Clean(domain), local)
	}
	b := s.boxes[rel]
	if b == nil {
		b = &box{s: s, user: name, dir: filepath.Join(s.root, rel)}
		s.boxes[rel] = b
	}
	return b, nil
}

// Users implements mailstore.Store. Directories that are no mailbox of the
// store are passed over.
func (s *Store) Users(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := s.walk(ctx, func(_, _ string, user string) bool { return yield(user, nil) })
		if err != nil {
			yield("", wrap("maildir: list mailboxes", err))
		}
	}
}

// walk calls fn for each mailbox until fn returns false.
func (s *Store) walk(ctx context.Context, fn func(domain, local, user string) bool) error {
	if s.closed.Load() {
		return mailstore.ErrClosed
	}
	if s.single {
		fn("", "", singleUser)
		return nil
	}
	domains, err := subdirs(s.root)
	if err != nil {
		return err
	}
	for _, d := range domains {
		locals, err := subdirs(filepath.Join(s.root, d))
		if err != nil {
			return err
		}
		for _, l := range locals {
			if err := ctx.Err(); err != nil {
				return err
			}
			user, ok := boxUser(d, l)
			if !ok || !holdsMail(filepath.Join(s.root, d, l)) {
				continue
			}
			if !fn(d, l, user) {
				return nil
			}
		}
	}
	return nil
}

// subdirs lists the directories, also those behind a symbolic link, whose names
// do not begin with a dot. One that vanished meanwhile has none.
func subdirs(dir string) ([]string, error) {
	ents, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range ents {
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			st, err := os.Stat(filepath.Join(dir, e.Name()))
			isDir = err == nil && st.IsDir()
		}
		if isDir && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

func isMaildir(dir string) bool {
	st, err := os.Stat(filepath.Join(dir, "new"))
	return err == nil && st.IsDir()
}
