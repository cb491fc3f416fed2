package durable_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// diary is a file system of which nothing but the order of the calls is kept.
// What lies below /far is on another one.
type diary struct {
	durable.FS
	mu    sync.Mutex
	lines []string
	sync  func() error // of everything at once; nil: not supported
}

func (d *diary) note(what, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, what+" "+name)
	return nil
}

func (d *diary) Rename(_, to string) error   { return d.note("rename", to) }
func (d *diary) SyncDir(name string) error   { return d.note("sync", name) }
func (d *diary) Covers(dir string) bool      { return !strings.HasPrefix(dir, "/far") }
func (d *diary) file(name string) *diaryFile { return &diaryFile{d, name} }
func (d *diary) index(what, name string) int { return slices.Index(d.lines, what+" "+name) }
func (d *diary) has(what, name string) bool  { return d.index(what, name) >= 0 }

func (d *diary) SyncAll() error {
	if d.sync == nil {
		return errors.ErrUnsupported
	}
	d.note("sync", "all")
	return d.sync()
}

type diaryFile struct {
	d    *diary
	name string
}

func (f *diaryFile) Write(p []byte) (int, error)            { return len(p), nil }
func (f *diaryFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (f *diaryFile) Name() string                           { return f.name }
func (f *diaryFile) Sync() error                            { return f.d.note("sync", f.name) }
func (f *diaryFile) Close() error                           { return f.d.note("close", f.name) }

// TestContentsFirst: however many files and early directories there are, all
// are durable before the first step, and the names' directory after the last.
func TestContentsFirst(t *testing.T) {
	for files := range 4 {
		for dirs := range 4 {
			if files+dirs == 0 {
				continue
			}
			d := &diary{}
			var tx durable.Tx
			var first []string
			for i := range files {
				name := fmt.Sprintf("/near/tmp/%d", i)
				tx.Files, first = append(tx.Files, d.file(name)), append(first, name)
			}
			for i := range dirs {
				name := fmt.Sprintf("/near/tmp/d%d", i)
				tx.EarlyDirs, first = append(tx.EarlyDirs, name), append(first, name)
			}
			tx.Steps = []durable.Step{durable.Publish("/near/tmp", "/near/new/x")}
			if err := durable.New(d).Commit(context.Background(), &tx); err != nil {
				t.Fatal(err)
			}
			step := d.index("rename", "/near/new/x")
			for _, name := range first {
				if at := d.index("sync", name); at < 0 || at > step {
					t.Errorf("%d files, %d directories: %s is not synced before the step: %q", files, dirs, name, d.lines)
				}
			}
			if at := d.index("sync", "/near/new"); at < step {
				t.Errorf("%d files, %d directories: the name is not synced: %q", files, dirs, d.lines)
			}
		}
	}
}

// TestFarAway: what a sync of everything does not reach is synced by itself, and
// what it reaches is not.
func TestFarAway(t *testing.T) {
	d := &diary{sync: func() error { return nil }}
	tx := durable.Tx{Steps: []durable.Step{
		durable.Publish("/near/tmp/a", "/near/new/a"), durable.Publish("/far/tmp/b", "/far/new/b")}}
	for _, name := range []string{"/near/tmp/a", "/far/tmp/b"} {
		tx.Files = append(tx.Files, d.file(name))
	}
	if err := durable.New(d).Whole().Commit(context.Background(), &tx); err != nil {
		t.Fatal(err)
	}
	for name, alone := range map[string]bool{"/near/tmp/a": false, "/near/new": false, "/far/tmp/b": true, "/far/new": true} {
		if d.has("sync", name) != alone {
			t.Errorf("%s synced by itself: %v; %q", name, !alone, d.lines)
		}
	}
	if !d.has("sync", "all") {
		t.Error("not everything is synced")
	}
}

// TestSmallGroups: up to three are synced one by one, more by one sync of everything.
func TestSmallGroups(t *testing.T) {
	for files := 1; files <= 5; files++ {
		d := &diary{sync: func() error { return nil }}
		var tx durable.Tx
		for i := range files {
			tx.Files = append(tx.Files, d.file(fmt.Sprintf("/near/%d", i)))
		}
		if err := durable.New(d).Commit(t.Context(), &tx); err != nil {
			t.Fatal(err)
		}
		if all, one := d.has("sync", "all"), d.has("sync", "/near/0"); all != (files > 3) || one == all {
			t.Errorf("%d files: %q", files, d.lines)
		}
	}
}

// TestPoisonedWhileWaiting: who waits for the next sync while one fails is told
// so, and the failed one is never tried again.
func TestPoisonedWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("the disk is broken")
		fails := make(chan bool)
		d := &diary{sync: func() error { <-fails; return broken }}
		disk := durable.New(d).Whole()
		errs := make([]error, 5)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				name := fmt.Sprintf("/near/tmp/%d", i)
				errs[i] = disk.Commit(context.Background(), &durable.Tx{Files: []durable.File{d.file(name)},
					Steps: []durable.Step{durable.Publish(name, "/near/new")}})
			})
			synctest.Wait() // the first leads, the others gather
		}
		close(fails)
		wg.Wait()
		for i, err := range errs {
			if !errors.Is(err, durable.ErrPoisoned) || !errors.Is(err, broken) {
				t.Errorf("%d: %v", i, err)
			}
			if !d.has("close", fmt.Sprintf("/near/tmp/%d", i)) {
				t.Errorf("%d is still open", i)
			}
		}
		if d.has("rename", "/near/new") {
			t.Error("something was published")
		}
		if n := strings.Count(strings.Join(d.lines, "\n"), "sync all"); n != 1 {
			t.Errorf("synced %d times", n)
		}
	})
}

// TestNotTried: a directory that cannot be opened is the error of the one who
// asked for it; the others of its group, and the Disk, are well.
func TestNotTried(t *testing.T) {
	dir := t.TempDir()
	for mode, set := range modes {
		d := openDisk(t, dir, set)
		ctx := context.Background()
		err := d.Commit(ctx, &durable.Tx{Dirs: []string{dir, filepath.Join(dir, "missing")}})
		if !errors.Is(err, durable.ErrNotTried) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", mode, err)
		}
		if err := d.Commit(ctx, &durable.Tx{Dirs: []string{dir}}); err != nil {
			t.Errorf("%s: then %v", mode, err)
		}
		if d.Err() != nil {
			t.Errorf("%s: poisoned: %v", mode, d.Err())
		}
	}
}

// TestClosed: a closed Disk does nothing.
func TestClosed(t *testing.T) {
	d := openDisk(t, t.TempDir(), modes["each"])
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Commit(context.Background(), &durable.Tx{}); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("Commit: %v", err)
	}
	if err := d.Err(); !errors.Is(err, durable.ErrClosed) || errors.Is(err, durable.ErrPoisoned) {
		t.Errorf("Err: %v", err)
	}
	if _, err := durable.Open("/does/not/exist"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
}
