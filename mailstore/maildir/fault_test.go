package maildir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// faulty is a file system in which one operation fails.
type faulty struct {
	*crashtest.Unnamed
	fail func(op, name string) error
}

func (f *faulty) try(op, name string) error {
	if err := f.fail(op, name); err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (f *faulty) Create(name string) (durable.File, error) {
	if err := f.try("create", name); err != nil {
		return nil, err
	}
	file, err := f.Unnamed.Create(name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

func (f *faulty) CreateUnnamed(dir string) (durable.File, error) {
	file, err := f.Unnamed.CreateUnnamed(dir)
	if err != nil {
		return nil, err
	}
	if err := f.try("create", dir); err != nil {
		file.Close()
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

func (f *faulty) LinkFile(file durable.File, n string) error {
	if err := f.try("name", n); err != nil {
		return err
	}
	return f.Unnamed.LinkFile(file.(*faultyFile).File, n)
}

func (f *faulty) Rename(o, n string) error {
	if err := f.try("rename", n); err != nil {
		return err
	}
	return f.Unnamed.Rename(o, n)
}

func (f *faulty) Link(o, n string) error {
	if err := f.try("link", n); err != nil {
		return err
	}
	return f.Unnamed.Link(o, n)
}

func (f *faulty) Remove(n string) error {
	if err := f.try("remove", n); err != nil {
		return err
	}
	return f.Unnamed.Remove(n)
}

func (f *faulty) SyncDir(n string) error {
	if err := f.try("syncdir", n); err != nil {
		return err
	}
	return f.Unnamed.SyncDir(n)
}

func (f *faulty) SyncAll() error { return errors.ErrUnsupported }

type faultyFile struct {
	durable.File
	f *faulty
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.f.try("write", f.Name()); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.f.try("writeat", f.Name()); err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if err := f.f.try("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

// fault is one way for one operation to fail.
type fault struct {
	op       string
	err      error
	want     error
	poisoned bool
}

// TestFaults lets each operation of a delivery fail in each way: the error says
// what it means, nobody has the message, nothing is left in tmp, and the store
// goes on, unless it was a sync.
func TestFaults(t *testing.T) {
	all := []fault{
		{"create", syscall.ENOSPC, mailstore.ErrNoSpace, false},
		{"create", syscall.EDQUOT, mailstore.ErrNoSpace, false},
		{"create", syscall.EROFS, mailstore.ErrReadOnly, false},
		{"create", syscall.EACCES, mailstore.ErrUnavailable, false},
		{"create", syscall.EMFILE, mailstore.ErrUnavailable, false},
		{"write", syscall.ENOSPC, mailstore.ErrNoSpace, false},
		{"write", syscall.EIO, mailstore.ErrUnavailable, false},
		{"sync", syscall.EIO, mailstore.ErrPoisoned, true},
		{"sync", syscall.ENOSPC, mailstore.ErrPoisoned, true},
		{"syncdir", syscall.EIO, mailstore.ErrPoisoned, true},
	}
	// A small message for one is given its name; all others are renamed and linked.
	unnamed := []fault{
		{"name", syscall.ENOSPC, mailstore.ErrNoSpace, false},
		{"name", syscall.EIO, mailstore.ErrUnavailable, false},
		{"name", syscall.EPERM, mailstore.ErrUnavailable, false},
		{"name", syscall.EMLINK, syscall.EMLINK, false},
	}
	named := []fault{
		{"rename", syscall.ENOSPC, mailstore.ErrNoSpace, false},
		{"rename", syscall.EIO, mailstore.ErrUnavailable, false},
		{"link", syscall.ENOSPC, mailstore.ErrNoSpace, false},
		{"link", syscall.EMLINK, syscall.EMLINK, false},
	}
	const small, large = 10, 200000
	for _, c := range slices.Concat(all, unnamed) {
		c.try(t, false, small, "a@x")
	}
	for _, c := range slices.Concat(all, named) {
		c.try(t, true, small, "a@x", "b@x")
		c.try(t, false, small, "a@x", "b@x")
		c.try(t, false, large, "a@x", "b@x")
	}
	for _, err := range []error{syscall.ENOSPC, syscall.EIO} { // the top of a large one
		c := fault{"writeat", err, mailstore.ErrNoSpace, false}
		if err == syscall.EIO {
			c.want = mailstore.ErrUnavailable
		}
		c.try(t, false, large, "a@x")
	}
}

// try delivers with the first operation of the kind failing.
func (c fault) try(t *testing.T, refuse bool, size int, users ...string) {
	dir, op, cause, want, poisoned := t.TempDir(), c.op, c.err, c.want, c.poisoned
	base, err := crashtest.NewUnnamed(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	base.Refuse = refuse
	armed := false
	fsys := &faulty{base, func(o, _ string) error {
		if armed && o == op {
			armed = op == "syncdir" // one fault is enough, but dirs are many
			return cause
		}
		return nil
	}}
	s := open(t, dir, maildir.WithDisk(durable.New(fsys)))
	body := strings.Repeat("x", size) + "\r\n"
	topped := mailstore.Meta{Top: []byte("Top: x\r\n")}
	if err := deliver(t, s, topped, "first\r\n", users...); err != nil {
		t.Fatal(err)
	}
	armed = true
	err = deliver(t, s, topped, body, users...)
	if !errors.Is(err, want) || !errors.Is(err, cause) {
		t.Errorf("%s: %v: got %v, want %v", op, cause, err, want)
	}
	armed = false
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*", "tmp", "*")); len(left) > 0 {
		t.Errorf("%s: left in tmp: %q", op, left)
	}
	for _, u := range users {
		if n, err := s.Usage(context.Background(), u); err != nil || n.Messages != 1 {
			t.Errorf("%s: %s has %d messages, %v", op, u, n.Messages, err)
		}
	}
	err = deliver(t, s, topped, body, users...)
	if !poisoned && err != nil {
		t.Errorf("after %s: %v: %v", op, cause, err)
	}
	if !poisoned {
		return
	}
	for what, err := range map[string]error{"delivery": err, "Err": s.Err(), "Room": s.Room(context.Background(), "a@x", 1)} {
		if !errors.Is(err, mailstore.ErrPoisoned) {
			t.Errorf("poisoned by %s: %s: %v", op, what, err)
		}
	}
	m := drop(t, s, "a@x") // reading still works
	if read(t, m, 0) != string(topped.Top)+"first\r\n" {
		t.Error("cannot read from a poisoned store")
	}
	if err := m.Remove(context.Background(), []int{0}); !errors.Is(err, mailstore.ErrPoisoned) {
		t.Errorf("removal from a poisoned store: %v", err)
	}
	if read(t, m, 0) != string(topped.Top)+"first\r\n" {
		t.Error("a poisoned store removed a message")
	}
}

// TestRemoveFault: a QUIT that could not be made durable is not acknowledged.
func TestRemoveFault(t *testing.T) {
	dir := t.TempDir()
	base, err := crashtest.NewUnnamed(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	var fail string
	fsys := &faulty{base, func(op, _ string) error {
		if op == fail {
			return syscall.EIO
		}
		return nil
	}}
	s := open(t, dir, maildir.WithDisk(durable.New(fsys)))
	for range 3 {
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); err != nil {
			t.Fatal(err)
		}
	}
	m := drop(t, s, who)
	fail = "remove"
	if err := m.Remove(context.Background(), []int{0}); !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("remove: %v", err)
	}
	fail = "syncdir"
	if err := m.Remove(context.Background(), []int{0}); !errors.Is(err, mailstore.ErrPoisoned) {
		t.Errorf("remove without sync: %v", err)
	}
}

// TestMailboxTakenAway: the administrator removes a mailbox under the daemon.
func TestMailboxTakenAway(t *testing.T) {
	s := open(t, t.TempDir())
	for range 3 {
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); err != nil {
			t.Fatal(err)
		}
		m := drop(t, s, who)
		if m.Len() != 1 {
			t.Errorf("%d messages", m.Len())
		}
		m.Close()
		dir, _ := s.Path(who)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		drop(t, s, who).Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTakenBeforeAll: whoever takes and removes a message as soon as it is in one
// mailbox does not keep it from the others.
func TestTakenBeforeAll(t *testing.T) {
	dir := t.TempDir()
	base, err := crashtest.NewUnnamed(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	quick := &quick{base}
	s := open(t, dir, maildir.WithDisk(durable.New(quick)))
	for _, users := range [][]string{{"quick@x", "a@x", "b@x"}, {"a@x", "quick@x", "b@x"}, {"a@x", "b@x", "quick@x"}, {"a@x"}} {
		for _, size := range []int{10, 200_000} {
			if err := deliver(t, s, mailstore.Meta{}, strings.Repeat("x", size)+"\r\n", users...); err != nil {
				t.Errorf("%d octets to %v: %v", size, users, err)
			}
		}
	}
	for user, want := range map[string]int{"a@x": 8, "b@x": 6, "quick@x": 0} {
		if m := drop(t, s, user); m.Len() != want {
			t.Errorf("%s has %d messages, want %d", user, m.Len(), want)
		}
	}
}

// quick is a file system on which what gets into quick's mailbox is gone at once.
type quick struct{ *crashtest.Unnamed }

func (q *quick) take(name string, err error) error {
	if err == nil && strings.Contains(name, filepath.FromSlash("/quick/new/")) {
		return os.Remove(name)
	}
	return err
}

func (q *quick) LinkFile(f durable.File, n string) error { return q.take(n, q.Unnamed.LinkFile(f, n)) }
func (q *quick) Link(o, n string) error                  { return q.take(n, q.Unnamed.Link(o, n)) }
func (q *quick) Rename(o, n string) error                { return q.take(n, q.Unnamed.Rename(o, n)) }
