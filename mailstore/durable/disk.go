package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrPoisoned: a sync failed earlier. What the kernel dropped is unknown, so
// nothing more is accepted until the store has been opened again.
var ErrPoisoned = errors.New("durable: a sync failed earlier")

// ErrClosed: the Disk, or the store that owns it, has been closed.
var ErrClosed = errors.New("durable: closed")

// ErrNotTried: a directory could not be opened, so no sync of it was tried. It
// fails the transaction that asked and poisons nothing.
var ErrNotTried = errors.New("durable: sync not tried")

// Disk makes transactions on one file system durable, those waiting at one moment
// together. All who write to that file system, a mail store and a queue for
// instance, should share one Disk. It is safe for concurrent use and has no
// goroutine of its own.
type Disk struct {
	fs     FS
	small  int       // see smallGroup
	opened io.Closer // by Open
	space  *Space
	counts counts

	mu      sync.Mutex
	leading bool       // somebody runs a sync
	pending []*wait    // gathering for the next one
	alone   int        // groups of one in a row
	between int        // released from their first phase, and sure to be back
	back    *sync.Cond // between is 0
	failed  error      // set once; see Err
}

// Open opens the file system that holds dir. Close it when nothing uses it any
// more.
func Open(dir string) (*Disk, error) {
	fsys, err := openOS(dir)
	if err != nil {
		return nil, err
	}
	d := New(fsys)
	d.opened = fsys
	return d, nil
}

// New returns a Disk that works through fsys, such as a test's own. Whoever made
// fsys closes it.
func New(fsys FS) *Disk {
	d := &Disk{fs: fsys, small: smallGroup, space: NewSpace(nil)}
	if f, ok := fsys.(interface{ Free() (Free, error) }); ok {
		d.space = NewSpace(f.Free)
	}
	d.back = sync.NewCond(&d.mu)
	return d
}

// Close gives back what Open took; everything after fails with ErrClosed. It must
// not be called while a transaction is under way, and may be called again.
func (d *Disk) Close() error {
	d.mu.Lock()
	opened := d.opened
	d.opened = nil
	if d.failed == nil {
		d.failed = ErrClosed
	}
	d.mu.Unlock()
	if opened == nil {
		return nil
	}
	return opened.Close()
}

// FS is what the Disk works through: for making files, and for changes that need
// not be durable.
func (d *Disk) FS() FS { return d.fs }

// Space is the room on the file system, for everybody who writes there. It is
// never short where FS has no method Free() (Free, error).
func (d *Disk) Space() *Space { return d.space }

// Err is nil while all syncs have succeeded, and afterwards an error that is
// ErrPoisoned and holds the cause. After Close it is ErrClosed.
func (d *Disk) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// Commit carries out a transaction. It returns nil only when all of it will
// survive a crash. On an error nothing is published, except that a removal
// already done is not undone.
//
// ctx is looked at once, before anything happens: a transaction under way
// cannot be abandoned, only finished.
func (d *Disk) Commit(ctx context.Context, t *Tx) error {
	if err := d.ready(ctx); err != nil {
		t.closeFiles()
		return err
	}
	err := d.commit(t)
	d.counts.commit(err)
	return err
}

func (d *Disk) commit(t *Tx) error {
	if t.Proven {
		return d.commitProven(t)
	}
	var one wait
	if len(t.Files)+len(t.EarlyDirs) > 0 {
		one = wait{files: t.Files, dirs: t.EarlyDirs, first: true}
		if err := d.sync(&one); err != nil {
			t.closeFiles()
			return err
		}
	}
	if err := d.publishAndClose(t); err != nil {
		if one.away {
			d.mu.Lock()
			d.comeBack()
			d.mu.Unlock()
		}
		return err
	}
	err := d.sync(&wait{dirs: t.dirs(), away: one.away})
	if err != nil {
		t.unpublish(d.fs, len(t.Steps))
	}
	return err
}

// publishAndClose runs the steps and closes the files: before the steps, if it
// can be, for some systems do not rename what is open.
func (d *Disk) publishAndClose(t *Tx) error {
	late := t.names()
	if !late {
		if err := t.closeFiles(); err != nil {
			return fmt.Errorf("durable: close: %w", err)
		}
	}
	err := t.publish(d.fs)
	if err != nil {
		err = fmt.Errorf("durable: publish: %w", err)
	}
	if late {
		if cerr := t.closeFiles(); err == nil && cerr != nil {
			t.unpublish(d.fs, len(t.Steps))
			err = fmt.Errorf("durable: close: %w", cerr)
		}
	}
	return err
}

// commitProven publishes first and makes contents and names durable with one
// sync.
func (d *Disk) commitProven(t *Tx) error {
	if err := t.publish(d.fs); err != nil {
		t.closeFiles()
		return fmt.Errorf("durable: publish: %w", err)
	}
	err := d.sync(&wait{files: t.Files, dirs: append(t.dirs(), t.EarlyDirs...)})
	if cerr := t.closeFiles(); err == nil && cerr != nil {
		err = fmt.Errorf("durable: close: %w", cerr)
	}
	if err != nil {
		t.unpublish(d.fs, len(t.Steps))
	}
	return err
}

func (d *Disk) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.Err()
}
