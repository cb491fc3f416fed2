package spool_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// faulty is a file system on which the n-th operation fails.
type faulty struct {
	durable.FS
	left int // operations until the failure; negative: it is over
	err  error
	name string // what failed
}

func (f *faulty) op(what, name string) error {
	f.left--
	if f.left == 0 {
		f.name = what + " " + filepath.Base(name)
		return fmt.Errorf("%s: %w", f.name, f.err)
	}
	return nil
}

func (f *faulty) Create(name string) (durable.File, error) {
	if err := f.op("create", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name)
	return &faultyFile{file, f}, err
}

func (f *faulty) Mkdir(name string) error {
	if err := f.op("mkdir", name); err != nil {
		return err
	}
	return f.FS.Mkdir(name)
}

func (f *faulty) Rename(from, to string) error {
	if err := f.op("rename", to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *faulty) SyncDir(name string) error {
	if err := f.op("sync directory", name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

func (f *faulty) SyncAll() error {
	return errors.ErrUnsupported // each is synced by itself
}

type faultyFile struct {
	durable.File
	f *faulty
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.f.op("write", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.f.op("write at", f.Name()); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if err := f.f.op("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

// TestFaults lets every single operation fail once, as a full disk does and as
// a broken one: what was not acknowledged is not there, what was is whole, and
// a disk that is full for a moment is no reason to stop.
func TestFaults(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, expected := range []int{len(crashTop), 0} { // then the message is copied behind its top
			t.Run(fmt.Sprintf("%v/%d", cause, expected), func(t *testing.T) {
				for n := 1; ; n++ {
					name, over := faultAt(t, n, cause, expected)
					if over {
						t.Logf("%d operations", n-1)
						return
					}
					if t.Failed() {
						t.Fatalf("failing operation %d, %s", n, name)
					}
				}
			})
		}
	}
}

func faultAt(t *testing.T, n int, cause error, expected int) (name string, over bool) {
	dir := t.TempDir()
	disk, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	f := &faulty{FS: disk.FS(), err: cause}
	s, err := spool.Open(t.Context(), dir, spool.Small(), spool.WithDisk(durable.New(f)))
	if err != nil {
		t.Fatal(err)
	}
	s.MinFree, s.Log = 0, slog.New(slog.DiscardHandler)
	f.left = n

	putErr := try(t, s, "a", expected)
	var saveErr, removeErr error
	if putErr == nil {
		st := queue.NewState(spooltest.Entry("a"))
		st.To[0].Attempts = 7
		saveErr = s.Save(t.Context(), "a", st)
		if saveErr == nil {
			removeErr = s.Remove(t.Context(), "a")
		}
	}
	synced := strings.HasPrefix(f.name, "sync")
	if cause == syscall.ENOSPC && putErr != nil && !errors.Is(putErr, queue.ErrFull) && !synced {
		t.Errorf("a full disk is %v", putErr)
	}
	f.left = -1
	if !synced && f.name != "" {
		if err := try(t, s, "b", expected); err != nil {
			t.Errorf("after the fault: %v", err)
		}
	}
	// The next process, on a disk that works.
	s, err = spool.Open(t.Context(), dir, spool.Small())
	if err != nil {
		t.Fatal(err)
	}
	_, st, err := s.Load(t.Context(), "a")
	switch {
	case putErr != nil:
		if err == nil && !synced {
			t.Errorf("what was refused with %v is there", putErr)
		}
	case saveErr != nil:
		if err != nil || st.To[0].Attempts != 0 && st.To[0].Attempts != 7 {
			t.Errorf("after a Save that failed: %+v, %v", st, err)
		}
	case removeErr != nil:
		if err != nil && !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("after a Remove that failed: %v", err)
		}
	case !errors.Is(err, queue.ErrNotFound):
		t.Errorf("after Remove: %v", err)
	}
	return f.name, f.name == ""
}

func try(t *testing.T, s *spool.Spool, id string, expected int) error {
	e := spooltest.Entry(id)
	e.Top = expected
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(make([]byte, 20<<10)); err != nil {
		return err
	}
	return w.Commit(t.Context(), []byte(crashTop))
}

// TestFaultsTogether lets every operation fail once while two entries are committed as
// one: they are both there, or neither.
func TestFaultsTogether(t *testing.T) {
	for _, expected := range []int{len(crashTop), 0} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			disk, err := durable.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			f := &faulty{FS: disk.FS(), err: syscall.EIO}
			s, err := spool.Open(t.Context(), dir, spool.Small(), spool.WithDisk(durable.New(f)))
			if err != nil {
				t.Fatal(err)
			}
			s.MinFree, s.Log = 0, slog.New(slog.DiscardHandler)
			f.left = n
			commitErr := tryTogether(t, s, expected)
			f.left = -1
			if (commitErr != nil) != (f.name != "") {
				t.Errorf("%s failed: %v", f.name, commitErr)
			}
			s, err = spool.Open(t.Context(), dir, spool.Small())
			if err != nil {
				t.Fatal(err)
			}
			there := 0
			for _, id := range []string{"a", "b"} {
				if _, _, err := s.Load(t.Context(), id); err == nil {
					there++
				}
			}
			if want := map[bool]int{true: 2, false: 0}[commitErr == nil]; there != want {
				t.Errorf("%s failed: %v, and %d entries are there", f.name, commitErr, there)
			}
			disk.Close()
			if f.name == "" {
				t.Logf("%d operations", n-1)
				break
			}
		}
	}
}

func tryTogether(t *testing.T, s *spool.Spool, expected int) error {
	var ws []queue.Writer
	for _, id := range []string{"a", "b"} {
		e := spooltest.Entry(id)
		e.Top = expected
		w, err := s.Begin(t.Context(), e, queue.NewState(e))
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := w.Write(make([]byte, 20<<10)); err != nil {
			return err
		}
		ws = append(ws, w)
	}
	return s.CommitAll(t.Context(), ws, [][]byte{[]byte(crashTop), []byte(crashTop)})
}
