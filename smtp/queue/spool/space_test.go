package spool_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// counted is a file system with so much room, less what is written to it.
type counted struct {
	durable.FS
	octets, files atomic.Int64
}

// Create implements durable.FS.
func (c *counted) Create(name string) (durable.File, error) {
	f, err := c.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return countedFile{f, c}, nil
}

// Remove implements durable.FS.
func (c *counted) Remove(name string) error {
	info, err := os.Stat(name)
	if err == nil {
		c.octets.Add(info.Size())
	}
	return c.FS.Remove(name)
}

type countedFile struct {
	durable.File
	c *counted
}

// Write implements durable.File.
func (f countedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.c.octets.Add(-int64(n))
	return n, err
}

// Free is what durable.Space asks for.
func (c *counted) Free() (durable.Free, error) {
	return durable.Free{Octets: c.octets.Load(), Files: c.files.Load(), AllFiles: 5000}, nil
}

func openCounted(t *testing.T, octets, files int64) (*counted, *spool.Spool, string) {
	t.Helper()
	dir := t.TempDir()
	disk, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	c := &counted{FS: disk.FS()}
	c.octets.Store(octets)
	c.files.Store(files)
	s, err := spool.Open(t.Context(), dir, spool.WithDisk(durable.New(c)))
	if err != nil {
		t.Fatal(err)
	}
	s.MinFree, s.Log = 1<<20, slog.New(slog.DiscardHandler)
	return c, s, dir
}

func beginSized(ctx context.Context, s *spool.Spool, id string, size int64) (queue.Writer, error) {
	e := &queue.Entry{ID: id, From: address("a@b.test"), Params: smtp.Params{Size: size}, To: []queue.Recipient{{Path: address("c@d.test")}}}
	return s.Begin(ctx, e, queue.NewState(e))
}

// TestUnfinishedEntries: what comes in counts before it is there, makes room for
// others if it is a stranger's, and a writer never gets into what is left free.
func TestUnfinishedEntries(t *testing.T) {
	ctx := t.Context()
	stranger := durable.WithStranger(ctx, "192.0.2.1/32")
	_, s, dir := openCounted(t, 3<<20, 1000)
	lost, err := beginSized(stranger, s, "aaaaaaaaaaaa1", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lost.Write([]byte(strings.Repeat("x\r\n", 10000))); err != nil {
		t.Fatal(err)
	}
	if err := s.Room(stranger, 3<<19); !errors.Is(err, queue.ErrFull) {
		t.Errorf("room for 1.5 MB more in 2: %v", err)
	}
	if err := s.Room(ctx, 3<<19); err != nil {
		t.Errorf("for somebody known the stranger makes room: %v", err)
	}
	w, err := beginSized(ctx, s, "aaaaaaaaaaaa2", 3<<19)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "tmp", "*")); len(left) != 1 {
		t.Errorf("the stranger's file is there: %q", left)
	}
	if _, err := lost.Write([]byte("x")); !errors.Is(err, queue.ErrFull) {
		t.Errorf("going on with what made room: %v", err)
	}
	if err := lost.Commit(ctx, nil); !errors.Is(err, queue.ErrFull) {
		t.Errorf("committing it: %v", err)
	}
	written := 0
	for err = nil; err == nil && written < 4<<20; written += 30000 {
		_, err = w.Write([]byte(strings.Repeat("x\r\n", 10000)))
	}
	if !errors.Is(err, queue.ErrFull) {
		t.Errorf("writing more than there is room for: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(entries) > 0 {
		t.Errorf("left in tmp: %v", entries)
	}
	if err := s.Room(ctx, 2<<20); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestNotificationsPass: by a bounce an entry leaves; it is taken by a full queue.
func TestNotificationsPass(t *testing.T) {
	ctx := t.Context()
	c, s, _ := openCounted(t, 0, 1000)
	q := &queue.Queue{Spool: s}
	e := &queue.Entry{From: address("a@b.test"), To: []queue.Recipient{{Path: address("c@d.test")}}}
	if err := q.Submit(ctx, e, strings.NewReader("x\r\n")); !errors.Is(err, queue.ErrFull) {
		t.Errorf("a message: %v", err)
	}
	n := &queue.Notification{ID: "aaaaaaaaaaaa3", To: address("a@b.test"), Message: []byte("x\r\n")}
	if err := q.SubmitNotification(ctx, n); err != nil {
		t.Errorf("a notification: %v", err)
	}
	c.octets.Store(1 << 30)
	c.files.Store(5)
	if err := s.Room(ctx, 0); !errors.Is(err, queue.ErrFull) || !strings.Contains(err.Error(), "inodes") {
		t.Errorf("without inodes: %v", err)
	}
}
