package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"syscall"

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
	w := &writer{s: s, e: e.Clone(), st: st.Clone()}
	var err error
	if w.hold, err = s.disk.Space().Begin(ctx, s.MinFree, e.Size, w.lose); err != nil {
		return nil, fmt.Errorf("begin entry: %w", explain(err))
	}
	if err = w.hold.Enter(); err == nil {
		w.file, err = s.disk.FS().Create(s.tmp(e.ID))
		w.hold.Leave()
	}
	if err != nil {
		w.hold.End()
		return nil, fmt.Errorf("begin entry: %w", explain(err))
	}
	w.buf = bufio.NewWriterSize(spending{w}, 8<<10)
	return w, nil
}

// spending writes to an entry's file what there is room for.
type spending struct{ w *writer }

// Write implements io.Writer.
func (s spending) Write(p []byte) (int, error) {
	if err := s.w.hold.Spend(int64(len(p))); err != nil {
		return 0, err
	}
	return s.w.file.Write(p)
}

// explain turns the system's ways of saying "full" into ErrFull.
func explain(err error) error {
	switch {
	case errors.Is(err, durable.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", queue.ErrExists, err)
	}
	return err
}

type writer struct {
	s    *Spool
	e    *queue.Entry
	st   *queue.State
	hold *durable.Hold
	file durable.File // nil once it is closed
	buf  *bufio.Writer
	sum  uint32
	size int64
	err  error // the first one; nothing goes on after it
	done bool
	lost bool // the file is gone, its room was given to others
}

// Write implements queue.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, queue.ErrClosed
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.err = w.enter(); w.err != nil {
		return 0, w.err
	}
	defer w.hold.Leave()
	n, err := w.buf.Write(p)
	w.sum = crc32.Update(w.sum, castagnoli, p[:n])
	w.size += int64(n)
	if err != nil {
		w.err = fmt.Errorf("write entry: %w", explain(err))
	}
	return n, w.err
}

// Commit implements queue.Writer.
func (w *writer) Commit(ctx context.Context) error {
	if w.done {
		return queue.ErrClosed
	}
	if err := w.commit(ctx); err != nil {
		w.Abort()
		return fmt.Errorf("commit entry: %w", explain(err))
	}
	w.done = true
	return nil
}

// enter begins work on the file, unless others were given its room.
func (w *writer) enter() error {
	if err := w.hold.Enter(); err != nil {
		return fmt.Errorf("write entry: %w", explain(err))
	}
	return nil
}

// complete writes what follows the message, and makes the room safe from others.
func (w *writer) complete() error {
	if w.err != nil {
		return w.err
	}
	if err := w.enter(); err != nil {
		return err
	}
	defer w.hold.Leave()
	w.e.Size, w.st.Size = w.size, w.size
	if _, err := w.buf.Write(formatTail(w.e, w.st, w.sum)); err != nil {
		return err
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
	return w.hold.Keep()
}

func (w *writer) commit(ctx context.Context) error {
	if err := w.complete(); err != nil {
		return err
	}
	w.hold.End() // nothing more is written
	tx := &durable.Tx{
		Files:  []durable.File{w.file},
		Steps:  []durable.Step{durable.Publish(w.s.tmp(w.e.ID), w.s.path(w.e.ID))},
		Proven: true,
	}
	w.file = nil // Commit closes it, whatever happens
	return w.s.disk.Commit(ctx, tx)
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
	if err := w.s.disk.FS().Remove(w.s.tmp(w.e.ID)); err != nil {
		return fmt.Errorf("abort entry: %w", err)
	}
	return nil
}

// lose gives the entry's room back when others need it; see durable.Space.
func (w *writer) lose() {
	if w.lost = w.file != nil; !w.lost {
		return
	}
	w.file.Close()
	if err := w.s.disk.FS().Remove(w.s.tmp(w.e.ID)); err != nil {
		w.s.Log.Warn("left in the spool", "file", w.s.tmp(w.e.ID), "err", err)
	}
}
