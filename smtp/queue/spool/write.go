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
	file, err := s.disk.FS().Create(s.tmp(e.ID))
	if err != nil {
		return nil, fmt.Errorf("begin entry: %w", explain(err))
	}
	return &writer{s: s, e: e.Clone(), st: st.Clone(), file: file, buf: bufio.NewWriterSize(file, 8<<10)}, nil
}

// explain turns the system's ways of saying "full" into ErrFull.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
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
	file durable.File
	buf  *bufio.Writer
	sum  uint32
	size int64
	err  error // the first one; nothing goes on after it
	done bool
}

// Write implements queue.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, queue.ErrClosed
	}
	if w.err != nil {
		return 0, w.err
	}
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

func (w *writer) commit(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	w.e.Size, w.st.Size = w.size, w.size
	if _, err := w.buf.Write(formatTail(w.e, w.st, w.sum)); err != nil {
		return err
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
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
	if w.file != nil {
		w.file.Close()
	}
	if err := w.s.disk.FS().Remove(w.s.tmp(w.e.ID)); err != nil {
		return fmt.Errorf("abort entry: %w", err)
	}
	return nil
}
