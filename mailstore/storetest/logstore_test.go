//go:build linux

package storetest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/internal/measure"
	"github.com/postrider-mail/postrider/mailstore"
)

// logStore is a PROTOTYPE of a store that keeps all mail in one log, here to be
// measured (docs/storage.md, "What another default store would give") and to
// show that the suite asks for nothing that only Maildirs can do. No program
// uses it.
//
// All that happens is a record at the end of the newest segment file: a message,
// once for all its mailboxes, or the removal of some. One fdatasync serves all
// who wait. Where everything is stands in memory only, and is found again by
// reading the whole log when the store is opened. A record that is not whole
// there is the torn end of what nobody was told of, and is cut off.
//
// What a real one would need beyond this: compaction of segments in which
// little is left, a checkpoint of the index, large messages in files of their
// own (here one is held in memory until it is written), flags and folders,
// quotas, damage in the middle told from a torn end, and tools, for no other
// program can read it.
type logStore struct {
	dir  string
	lock *os.File
	seq  atomic.Uint64 // the last number given out

	mu   sync.Mutex // held while a record is written: they stand in order
	segs []*os.File // by number; the last one grows
	end  int64      // of the last one

	group groupSync

	boxesMu sync.RWMutex
	boxes   map[string]*logBox
}

// segMax is the size from which on a segment is not added to.
const segMax = 256 << 20

// logBox is the index of one mailbox.
type logBox struct {
	mu      sync.Mutex
	entries []logEntry // only appended to, or replaced: a session keeps a slice
	uids    map[uint64]string
	octets  int64
	locked  bool
}

// logEntry says where a message is. These 24 octets are all that it takes in
// memory, unless it came with a unique id of its own.
type logEntry struct {
	seq  uint64
	off  int64 // of the body
	size uint32
	seg  uint32
}

func openLogStore(dir string) (*logStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	l := &logStore{dir: dir, lock: lock, boxes: make(map[string]*logBox)}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	if err := l.scan(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *logStore) Close() error {
	l.group.close()
	for _, f := range l.segs {
		f.Close()
	}
	l.segs = nil
	if err := l.lock.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// add begins the next segment. mu must be held, or the store not yet in use.
func (l *logStore) add() error {
	if n := len(l.segs); n > 0 {
		if err := measure.DataSync(l.segs[n-1]); err != nil {
			return l.group.fail(err)
		}
	}
	name := filepath.Join(l.dir, fmt.Sprintf("%08d.seg", len(l.segs)))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	d, err := os.Open(l.dir)
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		f.Close()
		return l.group.fail(err)
	}
	l.segs, l.end = append(l.segs, f), 0
	return nil
}

// append writes a finished record and returns where it is, once it is durable.
func (l *logStore) append(record []byte) (seg int, off int64, err error) {
	l.mu.Lock()
	if l.end >= segMax {
		if err := l.add(); err != nil {
			l.mu.Unlock()
			return 0, 0, err
		}
	}
	seg, off = len(l.segs)-1, l.end
	f := l.segs[seg]
	sum := record[8:checksummed]
	binary.LittleEndian.PutUint32(sum, place(binary.LittleEndian.Uint32(sum), seg, off))
	if _, err := f.WriteAt(record, off); err != nil {
		// What stands there half is written over, or cut off at the next start.
		if terr := f.Truncate(off); terr != nil {
			err = l.group.fail(errors.Join(err, terr))
		}
		l.mu.Unlock()
		return 0, 0, err
	}
	l.end += int64(len(record))
	l.mu.Unlock()
	return seg, off, l.group.wait(func() error {
		l.mu.Lock()
		f := l.segs[len(l.segs)-1]
		l.mu.Unlock()
		return measure.DataSync(f)
	})
}

// groupSync lets all who wait share one sync that begins after they came.
type groupSync struct {
	mu      sync.Mutex
	leading bool
	waiting []chan bool
	failed  error
}

func (g *groupSync) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

func (g *groupSync) fail(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = fmt.Errorf("%w: %w", mailstore.ErrPoisoned, err)
	}
	return g.failed
}

// close lets nothing more be written, or asked.
func (g *groupSync) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = mailstore.ErrClosed
	}
}

func (g *groupSync) wait(sync func() error) error {
	g.mu.Lock()
	wake := make(chan bool, 1)
	g.waiting = append(g.waiting, wake)
	if g.leading {
		g.mu.Unlock()
		lead := <-wake
		g.mu.Lock()
		if !lead {
			defer g.mu.Unlock()
			return g.failed
		}
	}
	g.leading = true
	group, err := g.waiting, g.failed
	g.waiting = nil
	g.mu.Unlock()
	if err == nil {
		if err = sync(); err != nil {
			err = g.fail(err)
		}
	}
	g.mu.Lock()
	if len(g.waiting) > 0 {
		g.waiting[0] <- true
	} else {
		g.leading = false
	}
	g.mu.Unlock()
	for _, w := range group {
		if w != wake {
			w <- false
		}
	}
	return err
}

// logName folds case and refuses what is no mailbox name.
func logName(user string) (string, error) {
	at := strings.LastIndexByte(user, '@')
	control := strings.ContainsFunc(user, func(r rune) bool { return r < 0x20 || r == 0x7f })
	if at <= 0 || at == len(user)-1 || control || !utf8.ValidString(user) {
		return "", fmt.Errorf("%w: %q", mailstore.ErrBadName, user)
	}
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, user), nil
}

// box returns the index of a mailbox, made if need be.
func (l *logStore) box(user string) *logBox {
	l.boxesMu.RLock()
	b := l.boxes[user]
	l.boxesMu.RUnlock()
	if b != nil {
		return b
	}
	l.boxesMu.Lock()
	defer l.boxesMu.Unlock()
	if b = l.boxes[user]; b == nil {
		b = &logBox{}
		l.boxes[user] = b
	}
	return b
}

func (l *logStore) Room(_ context.Context, user string, _ int64) error {
	if _, err := logName(user); err != nil {
		return err
	}
	return l.group.err()
}

func (l *logStore) Usage(_ context.Context, user string) (mailstore.Usage, error) {
	name, err := logName(user)
	if err = errors.Join(err, l.group.err()); err != nil {
		return mailstore.Usage{}, err
	}
	b := l.box(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	return mailstore.Usage{Messages: int64(len(b.entries)), Octets: b.octets}, nil
}

func (l *logStore) Users(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := l.group.err(); err != nil {
			yield("", err)
			return
		}
		l.boxesMu.RLock()
		var names []string
		for n := range l.boxes {
			names = append(names, n)
		}
		l.boxesMu.RUnlock()
		for _, n := range names {
			if !yield(n, nil) {
				return
			}
		}
	}
}
