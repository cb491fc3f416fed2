package durable

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
)

// ErrPoisoned: a sync failed earlier. What the kernel dropped is unknown, so
// nothing more is accepted until the store has been opened again.
var ErrPoisoned = errors.New("durable: a sync failed earlier")

// ErrNotTried: a directory could not be opened, so no sync of it was tried. It
// fails the transaction that asked and poisons nothing.
var ErrNotTried = errors.New("durable: sync not tried")

// SyncMode chooses how a group is made durable.
type SyncMode uint8

const (
	// Auto syncs small groups file by file and larger ones with one syncfs.
	Auto SyncMode = iota
	// PerFile gives every file and directory of every transaction an fsync of
	// its own, one transaction after the other, sharing nothing. It is the
	// slow standard the benchmarks compare with.
	PerFile
	// Grouped shares groups but syncs them with fsync only.
	Grouped
	// Whole syncs every group with syncfs.
	Whole
)

// smallGroup is the number of files and directories up to which Auto prefers
// fsync for each over one syncfs (docs/storage.md, "Choosing").
const smallGroup = 3

// lonely is how many groups of one in a row show that there is no company to
// wait for: stepping aside for it costs a lone writer two switches of threads.
// From then on only every so many-th looks whether there is.
const lonely = 8

// fewBetween is up to how many between their phases are waited for
// (docs/storage.md, "Group commit").
const fewBetween = 16

// Committer makes transactions durable, those waiting at one moment together.
// Everything that shares a file system, the mail store and the queue, should
// share one Committer. It has no goroutine of its own and needs no closing.
type Committer struct {
	fs    FS
	mode  SyncMode
	space *Space

	mu      sync.Mutex
	leading bool       // somebody runs a sync
	pending []*wait    // gathering for the next one
	alone   int        // groups of one in a row
	between int        // released from their first phase, and sure to be back
	back    *sync.Cond // between is 0
	failed  error      // set once; see ErrPoisoned
}

// wait is one caller waiting for a sync that starts after now.
type wait struct {
	files []File
	dirs  []string
	err   error
	first bool      // if it goes well there will be a second for the same transaction
	away  bool      // counted in Committer.between
	wake  chan bool // true: lead the next group; false: done, err is set
}

// NewCommitter returns a Committer working through fsys.
func NewCommitter(fsys FS) *Committer { return NewCommitterMode(fsys, Auto) }

// NewCommitterMode is NewCommitter with a fixed way to sync, for measurements.
func NewCommitterMode(fsys FS, mode SyncMode) *Committer {
	c := &Committer{fs: fsys, mode: mode, space: NewSpace(nil)}
	if f, ok := fsys.(interface{ Free() (Free, error) }); ok {
		c.space = NewSpace(f.Free)
	}
	c.back = sync.NewCond(&c.mu)
	return c
}

// FS returns the file system the committer works through.
func (c *Committer) FS() FS { return c.fs }

// Space is the room on the committer's file system, for everybody who writes
// there. It is never short where FS has no method Free() (Free, error).
func (c *Committer) Space() *Space { return c.space }

// Err is nil while all syncs have succeeded, and afterwards an error that is
// ErrPoisoned and holds the cause.
func (c *Committer) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// Commit carries out a transaction. It returns nil only when all of it will
// survive a crash. On an error nothing is published, except that a removal
// already done is not undone.
//
// ctx is looked at once, before anything happens: a transaction under way
// cannot be abandoned, only finished.
func (c *Committer) Commit(ctx context.Context, t *Tx) error {
	if err := c.ready(ctx); err != nil {
		t.closeFiles()
		return err
	}
	if t.Proven {
		return c.commitProven(t)
	}
	var one wait
	if len(t.Files)+len(t.EarlyDirs) > 0 {
		one = wait{files: t.Files, dirs: t.EarlyDirs, first: true}
		if err := c.sync(&one); err != nil {
			t.closeFiles()
			return err
		}
	}
	if err := c.publishAndClose(t); err != nil {
		if one.away {
			c.mu.Lock()
			c.comeBack()
			c.mu.Unlock()
		}
		return err
	}
	err := c.sync(&wait{dirs: t.dirs(), away: one.away})
	if err != nil {
		t.unpublish(c.fs, len(t.Steps))
	}
	return err
}

// publishAndClose runs the steps and closes the files: before the steps, if it
// can be, for some systems do not rename what is open.
func (c *Committer) publishAndClose(t *Tx) error {
	late := t.names()
	if !late {
		if err := t.closeFiles(); err != nil {
			return fmt.Errorf("durable: close: %w", err)
		}
	}
	err := t.publish(c.fs)
	if err != nil {
		err = fmt.Errorf("durable: publish: %w", err)
	}
	if late {
		if cerr := t.closeFiles(); err == nil && cerr != nil {
			t.unpublish(c.fs, len(t.Steps))
			err = fmt.Errorf("durable: close: %w", cerr)
		}
	}
	return err
}

// commitProven publishes first and makes contents and names durable with one
// sync.
func (c *Committer) commitProven(t *Tx) error {
	if err := t.publish(c.fs); err != nil {
		t.closeFiles()
		return fmt.Errorf("durable: publish: %w", err)
	}
	err := c.sync(&wait{files: t.Files, dirs: append(t.dirs(), t.EarlyDirs...)})
	if cerr := t.closeFiles(); err == nil && cerr != nil {
		err = fmt.Errorf("durable: close: %w", cerr)
	}
	if err != nil {
		t.unpublish(c.fs, len(t.Steps))
	}
	return err
}

func (c *Committer) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.Err()
}

// sync waits for a sync that begins after the call and covers the files'
// contents and the directories' entries. The first to come leads: it syncs for
// everybody gathered, itself among them, and passes the lead on to one of those
// who came meanwhile.
func (c *Committer) sync(w *wait) error {
	if c.mode == PerFile {
		return c.syncAlone(w)
	}
	c.mu.Lock()
	if w.away {
		c.comeBack()
	}
	if c.failed != nil {
		defer c.mu.Unlock()
		return c.failed
	}
	c.pending = append(c.pending, w)
	if c.leading {
		w.wake = make(chan bool, 1)
		c.mu.Unlock()
		if lead := <-w.wake; !lead {
			return w.err
		}
		c.mu.Lock()
	}
	c.leading = true
	group, failed := c.gather()
	c.mu.Unlock()

	if failed == nil {
		failed = c.fail(c.syncGroup(group))
	}
	c.release(w, group, failed)
	return w.err
}

// gather waits for those who are about to ask and returns all who have. mu must
// be held; it is let go meanwhile.
//
// Those whose contents have just been made durable only publish, and then ask
// for the second phase: a sync that did not wait for them would serve half as many,
// and they would have to wait for all of it and then for one more. Of many there
// are enough without them, and the disk would be idle while they publish.
//
// Others may be about to ask as well. A sync shorter than the scheduler takes to
// notice a blocked thread would keep them all waiting, on a single processor,
// and the groups would stay as small as they are.
func (c *Committer) gather() ([]*wait, error) {
	if c.alone < lonely || c.alone%lonely == 0 {
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	for c.between > 0 && c.between <= fewBetween {
		c.back.Wait()
	}
	group := c.pending
	c.pending = nil
	if c.alone++; len(group) > 1 {
		c.alone = 0
	}
	return group, c.failed
}

// comeBack takes one off those between their phases. mu must be held.
func (c *Committer) comeBack() {
	if c.between--; c.between == 0 {
		c.back.Signal()
	}
}

// release lets the members of a finished group go and names the next leader.
func (c *Committer) release(leader *wait, group []*wait, err error) {
	c.mu.Lock()
	for _, w := range group {
		if err != nil {
			w.err = err
		}
		if w.first && w.err == nil {
			w.away = true
			c.between++
		}
	}
	if len(c.pending) > 0 {
		c.pending[0].wake <- true
	} else {
		c.leading = false
	}
	c.mu.Unlock()
	for _, w := range group {
		if w != leader {
			w.wake <- false
		}
	}
}

// fail poisons the committer if err is not nil, and returns what callers get.
func (c *Committer) fail(err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = fmt.Errorf("%w: %w", ErrPoisoned, err)
	}
	return c.failed
}

// syncGroup makes everything the group waits for durable. An error is a failed
// sync; a directory that could not even be tried is the error of those waiters
// alone who asked for it.
func (c *Committer) syncGroup(group []*wait) error {
	n := 0
	for _, w := range group {
		n += len(w.files) + len(w.dirs)
	}
	whole := c.mode == Whole || c.mode == Auto && n > smallGroup
	if whole {
		err := c.fs.SyncAll()
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			whole = false
		case err != nil:
			return fmt.Errorf("sync file system: %w", err)
		}
	}
	skip := func(dir string) bool { return whole && c.fs.Covers(dir) }
	done := make(map[string]error, len(group))
	for _, w := range group {
		if err := syncFiles(w.files, skip); err != nil {
			return err
		}
		if err := c.syncDirs(w, done, skip); err != nil {
			return err
		}
	}
	return nil
}

func syncFiles(files []File, skip func(dir string) bool) error {
	for _, f := range files {
		if skip(filepath.Dir(f.Name())) {
			continue
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", f.Name(), err)
		}
	}
	return nil
}

// syncDirs syncs the directories of one waiter unless done knows them already.
func (c *Committer) syncDirs(w *wait, done map[string]error, skip func(string) bool) error {
	for _, d := range w.dirs {
		if skip(d) {
			continue
		}
		err, ok := done[d]
		if !ok {
			err = c.fs.SyncDir(d)
			done[d] = err
		}
		if err == nil {
			continue
		}
		err = fmt.Errorf("sync directory %s: %w", d, err)
		if !errors.Is(err, ErrNotTried) {
			return err
		}
		w.err = err
	}
	return nil
}

// syncAlone is the slow standard: nothing is shared, not even a directory
// between two transactions.
func (c *Committer) syncAlone(w *wait) error {
	never := func(string) bool { return false }
	if err := syncFiles(w.files, never); err != nil {
		return c.fail(err)
	}
	if err := c.syncDirs(w, make(map[string]error), never); err != nil {
		return c.fail(err)
	}
	return w.err
}
