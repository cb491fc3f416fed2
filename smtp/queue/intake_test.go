package queue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

// lateScan is a spool that is scanned in the middle of a Commit: the entry is
// on disk, and the queue has not heard of it.
type lateScan struct {
	*memory
	begin, end chan struct{}
}

func (l *lateScan) Scan(ctx context.Context, each func(string, *State) error) error {
	<-l.begin
	defer close(l.end)
	return l.memory.Scan(ctx, each)
}

func (l *lateScan) Begin(ctx context.Context, e *Entry, st *State) (Writer, error) {
	w, err := l.memory.Begin(ctx, e, st)
	return &lateWriter{w, l}, err
}

type lateWriter struct {
	Writer
	l *lateScan
}

func (w *lateWriter) Commit(ctx context.Context, top []byte) error {
	err := w.Writer.Commit(ctx, top)
	close(w.l.begin)
	<-w.l.end
	return err
}

// TestAcceptAfterScan: an entry that the scan at the start finds before its
// Commit has returned is tried at once all the same, and once.
func TestAcceptAfterScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.Spool = &lateScan{f.spool, make(chan struct{}), make(chan struct{})}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		if f.world.count() != 1 || f.spool.len() != 0 {
			t.Errorf("%d attempts, %d entries left", f.world.count(), f.spool.len())
		}
	})
}

// aborted is a Writer that knows whether it was given up.
type aborted struct {
	bytes.Buffer
	committed, given bool
}

func (a *aborted) Commit(context.Context, []byte) error { a.committed = true; return nil }
func (a *aborted) Abort() error                         { a.given = true; return nil }

// TestFillGivesUp: of a message that cannot be read to its end nothing is queued, and what it took is given back.
func TestFillGivesUp(t *testing.T) {
	lost := errors.New("connection reset")
	w := new(aborted)
	err := fill(t.Context(), w, io.MultiReader(strings.NewReader("half of it"), iotest.ErrReader(lost)))
	if !errors.Is(err, lost) || w.committed || !w.given {
		t.Errorf("%v; committed: %t, given up: %t", err, w.committed, w.given)
	}
}
