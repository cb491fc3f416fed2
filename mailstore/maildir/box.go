package maildir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/postrider-mail/postrider/mailstore"
)

// box is what the store knows about one mailbox. It is small and stays; the
// listing inside is what the cache bounds.
type box struct {
	s    *Store
	user string // in its canonical spelling
	dir  string

	makeMu sync.Mutex
	made   bool // directories there and durable, as far as this process knows
	mount  uint64
	split  bool // tmp, new and cur are not all on mount

	mu       sync.Mutex
	gen      uint64   // of readings
	list     *listing // last one read, nil if none or evicted
	inflight usage    // deliveries between reserve and release
	use      usage    // kept only where somebody asks for it
	aside    aside    // what folders hold, where that counts
	ids      map[uint64]struct{}
}

func (b *box) sub(dir, name string) string { return filepath.Join(b.dir, dir, name) }

// ensure makes the mailbox's directories durable, once per process: those found
// too, because the process that made them may have died before it could.
func (b *box) ensure(ctx context.Context) error {
	b.makeMu.Lock()
	defer b.makeMu.Unlock()
	if b.made {
		return nil
	}
	if b.s.mode == ReadOnly {
		return mailstore.ErrReadOnly
	}
	err := b.s.c.MkdirAll(ctx, b.s.root, b.sub("tmp", ""), b.sub("new", ""), b.sub("cur", ""))
	if err != nil {
		return wrap("maildir: make mailbox", err)
	}
	b.made = true
	b.mount, b.split = mountOf(b.sub("tmp", "")), false
	for _, sub := range []string{"new", "cur"} {
		b.split = b.split || mountOf(b.sub(sub, "")) != b.mount
	}
	return nil
}

// oneMount refuses a mailbox into which nothing can be moved from its own tmp.
func (b *box) oneMount() error {
	b.makeMu.Lock()
	defer b.makeMu.Unlock()
	if !b.split {
		return nil
	}
	b.made = false // look again next time
	return fmt.Errorf("%w: %s: tmp, new and cur must be on one file system", mailstore.ErrUnavailable, b.dir)
}

// onMount is the mount the mailbox was found on.
func (b *box) onMount() uint64 {
	b.makeMu.Lock()
	defer b.makeMu.Unlock()
	return b.mount
}

// vanished forgets that the directories are there.
func (b *box) vanished() {
	b.makeMu.Lock()
	b.made = false
	b.makeMu.Unlock()
}

const boxLock = "postrider.lock"

// boxLocks are the locks of one session. Closing them unlocks the maildrop.
type boxLocks struct{ dir, file *os.File } // either may be nil, not both

// Close implements io.Closer.
func (l boxLocks) Close() error {
	var problems []error
	for _, f := range []*os.File{l.file, l.dir} {
		if f != nil {
			problems = append(problems, f.Close())
		}
	}
	return errors.Join(problems...)
}

// lock takes the maildrop for this session alone among all goroutines and
// processes: its directory, and a file in it, which is all that versions before
// this one know and all that can be locked on NFS. The directory is enough where
// there is no room to make the file: who cannot log in cannot make room.
func (b *box) lock() (l boxLocks, err error) {
	l.dir, err = lockDir(b.dir)
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		l.file, err = openLocked(filepath.Join(b.dir, boxLock))
	}
	if err == nil || l.dir != nil && noRoom(err) {
		return l, nil
	}
	l.Close()
	if errors.Is(err, errBusy) {
		err = mailstore.ErrLocked
	}
	return boxLocks{}, err
}

// noRoom reports whether nothing can be made on the disk, while what is there can
// still be read, and mostly removed.
func noRoom(err error) bool {
	err = classify(err)
	return errors.Is(err, mailstore.ErrNoSpace) || errors.Is(err, mailstore.ErrReadOnly)
}
