package spool

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Begin implements queue.Spool.
func (s *Spool) Begin(ctx context.Context, e *queue.Entry, st *queue.State) (queue.Writer, error) {
	if err := errors.Join(ctx.Err(), e.Check()); err != nil {
		return nil, fmt.Errorf("begin entry: %w", err)
	}
	if _, err := os.Lstat(s.path(e.ID)); err == nil {
		return nil, fmt.Errorf("begin entry %s: %w", e.ID, queue.ErrExists)
	}
	w := &writer{s: s, e: e.Clone(), st: st.Clone(), name: s.tmp(e.ID)}
	var err error
	if w.hold, err = s.disk.Space().Begin(ctx, s.MinFree, e.Params.Size, w.lose); err != nil {
		return nil, fmt.Errorf("begin entry: %w", explain(err))
	}
	if err = w.hold.Enter(); err == nil {
		w.file, err = s.disk.FS().Create(w.name)
		w.hold.Leave()
	}
	if err != nil {
		w.hold.End()
		return nil, fmt.Errorf("begin entry: %w", explain(err))
	}
	w.place = min(max(e.Top, 0), topMost)
	w.buf = make([]byte, w.place, w.place+bufferSize)
	return w, nil
}

const (
	bufferSize = 8 << 10  // octets that are written at a time
	topMost    = 16 << 10 // octets, at most, that are kept free for the top
)

// explain turns the system's ways of saying "full" into ErrFull.
func explain(err error) error {
	switch {
	case errors.Is(err, durable.ErrNoSpace), errors.Is(err, sys.NoSpace), errors.Is(err, sys.QuotaExceeded):
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", queue.ErrExists, err)
	}
	return err
}

// writer writes the message behind a place for its top, which is known last.
type writer struct {
	s     *Spool
	e     *queue.Entry
	st    *queue.State
	hold  *durable.Hold
	file  durable.File // nil once it is closed
	name  string       // of the file
	place int          // octets kept free at its beginning
	buf   []byte       // what is to be written next
	begun bool         // some was written, the place with it
	sum   uint32       // of the body
	size  int64        // of the body
	err   error        // the first one; nothing goes on after it
	done  bool
	lost  bool // the file is gone, its room was given to others
}

// Write implements queue.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, queue.ErrClosed
	}
	if w.err == nil {
		w.err = w.enter()
	}
	if w.err != nil {
		return 0, w.err
	}
	defer w.hold.Leave()
	written := 0
	for len(p) > 0 && w.err == nil {
		if len(w.buf) == cap(w.buf) {
			w.flush()
			continue
		}
		n := min(len(p), cap(w.buf)-len(w.buf))
		if len(w.buf) == 0 && len(p) >= cap(w.buf) {
			n = len(p)
			w.put(p)
		} else {
			w.buf = append(w.buf, p[:n]...)
		}
		w.sum = crc32.Update(w.sum, castagnoli, p[:n])
		w.size += int64(n)
		written += n
		p = p[n:]
	}
	return written, w.err
}

// flush writes what is in the buffer.
func (w *writer) flush() {
	w.put(w.buf)
	w.buf = w.buf[:0]
}

func (w *writer) put(p []byte) {
	if w.err != nil {
		return
	}
	w.begun = true
	err := w.hold.Spend(int64(len(p)))
	if err == nil {
		_, err = w.file.Write(p)
	}
	if err != nil {
		w.err = fmt.Errorf("write entry: %w", explain(err))
	}
}

// Commit implements queue.Writer.
func (w *writer) Commit(ctx context.Context, top []byte) error {
	if w.done {
		return queue.ErrClosed
	}
	return w.s.commit(ctx, []*writer{w}, [][]byte{top})
}

// CommitAll implements queue.Together: one transaction publishes all names, or none.
func (s *Spool) CommitAll(ctx context.Context, writers []queue.Writer, tops [][]byte) error {
	own, err := s.own(writers)
	if err != nil {
		for _, w := range writers {
			w.Abort()
		}
		return err
	}
	return s.commit(ctx, own, tops)
}

// own is what the writers are, if all are this spool's and none is done.
func (s *Spool) own(writers []queue.Writer) ([]*writer, error) {
	own := make([]*writer, len(writers))
	for i, w := range writers {
		w, ok := w.(*writer)
		switch {
		case !ok || w.s != s:
			return nil, fmt.Errorf("commit entries: not a writer of this spool: %T", writers[i])
		case w.done:
			return nil, queue.ErrClosed
		}
		own[i] = w
	}
	return own, nil
}

// commit ends the writers, none of which is done: all are committed, or all aborted.
func (s *Spool) commit(ctx context.Context, writers []*writer, tops [][]byte) error {
	tx := durable.Tx{Proven: true}
	err := s.publish(ctx, writers, tops, &tx)
	for _, w := range writers {
		if err != nil {
			w.Abort()
		}
		w.done = true
	}
	if err != nil {
		return fmt.Errorf("commit entry: %w", explain(err))
	}
	return nil
}

func (s *Spool) publish(ctx context.Context, writers []*writer, tops [][]byte, tx *durable.Tx) error {
	for i, w := range writers {
		if err := w.complete(tops[i]); err != nil {
			return err
		}
	}
	for _, w := range writers {
		w.hold.End() // nothing more is written
		tx.Files = append(tx.Files, w.file)
		tx.Steps = append(tx.Steps, durable.Publish(w.name, s.path(w.e.ID)))
		w.file = nil // Commit closes it, whatever happens
	}
	return s.disk.Commit(ctx, tx)
}

// enter begins work on the file, unless others were given its room.
func (w *writer) enter() error {
	if err := w.hold.Enter(); err != nil {
		return fmt.Errorf("write entry: %w", explain(err))
	}
	return nil
}

// complete writes the top and what follows the message, and makes the room safe
// from others.
func (w *writer) complete(top []byte) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.hold.Leave()
	skip, err := w.putTop(top)
	if err != nil {
		return err
	}
	p := proof{skip: skip, sum: joinSums(crc32.Checksum(top, castagnoli), w.sum, w.size)}
	w.e.Params.Size = int64(len(top)) + w.size
	w.st.Size = w.e.Params.Size
	w.buf = append(w.buf, formatTail(w.e, w.st, p)...)
	if w.flush(); w.err != nil {
		return w.err
	}
	return w.hold.Keep()
}

// Abort implements queue.Writer.
func (w *writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	w.hold.End()
	if w.lost {
		return nil
	}
	if w.file != nil {
		w.file.Close()
	}
	if err := w.s.disk.FS().Remove(w.name); err != nil {
		return fmt.Errorf("abort entry: %w", err)
	}
	return nil
}

// putTop puts the top in its place. It returns the octets before it that stay
// unused.
func (w *writer) putTop(top []byte) (skip int64, err error) {
	left := w.place - len(top)
	switch {
	case w.err != nil:
		return 0, w.err
	case !w.begun && left >= 0:
		w.buf = w.buf[left:]
		copy(w.buf, top)
		return 0, nil
	case !w.begun:
		w.put(top)
		w.buf = w.buf[w.place:]
		return 0, w.err
	case left >= 0:
		_, err := w.file.WriteAt(top, int64(left))
		return int64(left), err
	}
	return 0, w.copyBehind(top)
}

// copyBehind makes a new file, which has the top and then what is in the old one
// behind the place that was too small.
func (w *writer) copyBehind(top []byte) error {
	if w.flush(); w.err != nil {
		return w.err
	}
	name := w.name + ".2" // no entry's: ids have no dot
	fresh, err := w.s.disk.FS().Create(name)
	if err != nil {
		return err
	}
	old, oldName := w.file, w.name
	w.file, w.name = fresh, name
	defer func() {
		old.Close()
		w.s.disk.FS().Remove(oldName)
	}()
	w.put(top)
	in, err := os.Open(oldName)
	if err == nil {
		defer in.Close()
		_, err = in.Seek(int64(w.place), io.SeekStart)
	}
	if err == nil {
		err = w.hold.Spend(w.size)
	}
	if err == nil && w.err == nil {
		_, err = io.Copy(struct{ io.Writer }{fresh}, in)
	}
	return errors.Join(w.err, err)
}

// lose gives the entry's room back when others need it; see durable.Space.
func (w *writer) lose() {
	if w.lost = w.file != nil; !w.lost {
		return
	}
	w.file.Close()
	if err := w.s.disk.FS().Remove(w.name); err != nil {
		w.s.Log.Warn("left in the spool", "file", w.name, "err", err)
	}
}
