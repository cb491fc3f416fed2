package maildir

import (
	"context"
	"errors"
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

	mu       sync.Mutex
	gen      uint64   // of readings
	list     *listing // last one read, nil if none or evicted
	inflight usage    // deliveries between reserve and settle
	use      usage    // kept only where somebody asks for it
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
	return nil
}

// vanished forgets that the directories are there.
func (b *box) vanished() {
	b.makeMu.Lock()
	b.made = false
	b.makeMu.Unlock()
}

const boxLock = "postrider.lock"

// lock takes the maildrop's lock, for this session alone among all goroutines
// and processes.
func (b *box) lock() (*os.File, error) {
	f, err := openLocked(filepath.Join(b.dir, boxLock))
	if errors.Is(err, errBusy) {
		return nil, mailstore.ErrLocked
	}
	return f, err
}
