package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/postrider-mail/postrider/internal/durable"
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
	dir := s.tmp(e.ID)
	if err := s.c.FS().Mkdir(dir); err != nil {
		return nil, fmt.Errorf("begin entry: %w", explain(err))
	}
	body, err := s.c.FS().Create(filepath.Join(dir, "body"))
	if err != nil {
		_ = s.removeDir(dir)
		return nil, fmt.Errorf("begin entry: %w", explain(err))
	}
	return &writer{
		s: s, e: e.Clone(), st: st.Clone(), dir: dir,
		body: body, buf: bufio.NewWriterSize(body, 16<<10),
		sum: crc32.New(crc32.MakeTable(crc32.Castagnoli)),
	}, nil
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
	dir  string
	body durable.File
	buf  *bufio.Writer
	sum  hash.Hash32
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
	w.sum.Write(p[:n])
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
	if err := w.buf.Flush(); err != nil {
		return err
	}
	w.e.Size, w.st.Size = w.size, w.size
	envelope, err := w.create("envelope", formatEnvelope(w.e, w.sum.Sum32()))
	if err != nil {
		return err
	}
	state, err := w.create("state", formatState(w.st))
	if err != nil {
		envelope.Close()
		return err
	}
	tx := &durable.Tx{
		Files:     []durable.File{w.body, envelope, state},
		EarlyDirs: []string{w.dir},
		Steps:     []durable.Step{durable.Publish(w.dir, w.s.path(w.e.ID))},
	}
	w.body = nil // Commit closes it, whatever happens
	return w.s.c.Commit(ctx, tx)
}

func (w *writer) create(name string, data []byte) (durable.File, error) {
	f, err := w.s.c.FS().Create(filepath.Join(w.dir, name))
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Abort implements queue.Writer.
func (w *writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	if w.body != nil {
		w.body.Close()
	}
	if err := w.s.removeDir(w.dir); err != nil {
		return fmt.Errorf("abort entry: %w", err)
	}
	return nil
}
