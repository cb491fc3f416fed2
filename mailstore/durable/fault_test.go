package durable_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// deed is one thing done to a directory, with what is there once it is done.
// What was refused is not there, except that a removal may have happened, and a
// file that was to be replaced is as it was or as it was to become.
type deed struct {
	name  string
	do    func(d *durable.Disk, in func(string) string) error
	there []string // "name=contents" of a file, "name" of a directory
	gone  []string // names that are not there any more
	was   string   // of a replaced file: what it may still be
}

// written makes a file without publishing it.
func written(d *durable.Disk, name, text string) (durable.File, error) {
	f, err := d.FS().Create(name)
	if err != nil {
		return nil, err
	}
	return f, fill(f, text)
}

func fill(f durable.File, text string) error {
	_, err := f.Write([]byte(text))
	if err != nil {
		f.Close()
	}
	return err
}

var deeds = []deed{
	{"make directories", func(d *durable.Disk, in func(string) string) error {
		return d.MkdirAll(context.Background(), in("."), in("tmp"), in("new"))
	}, []string{"tmp", "new"}, nil, ""},
	{"publish a directory with two files", func(d *durable.Disk, in func(string) string) error {
		if err := d.FS().Mkdir(in("tmp/d")); err != nil {
			return err
		}
		one, err := written(d, in("tmp/d/1"), "one")
		if err != nil {
			return err
		}
		two, err := written(d, in("tmp/d/2"), "two")
		if err != nil {
			one.Close()
			return err
		}
		return d.Commit(context.Background(), &durable.Tx{Files: []durable.File{one, two}, EarlyDirs: []string{in("tmp/d")},
			Steps: []durable.Step{durable.Publish(in("tmp/d"), in("new/d"))}})
	}, []string{"new/d/1=one", "new/d/2=two"}, nil, ""},
	{"a small file", func(d *durable.Disk, in func(string) string) error {
		return d.ReplaceFile(context.Background(), in("state"), []byte("first"))
	}, []string{"state=first"}, nil, "none"},
	{"the small file again", func(d *durable.Disk, in func(string) string) error {
		return d.ReplaceFile(context.Background(), in("state"), []byte("second"))
	}, []string{"state=second"}, nil, "state=first"},
	{"two names", func(d *durable.Disk, in func(string) string) error {
		f, err := written(d, in("tmp/x"), "three")
		if err != nil {
			return err
		}
		return d.Commit(context.Background(), &durable.Tx{Files: []durable.File{f},
			Steps: []durable.Step{durable.Link(in("tmp/x"), in("new/y")), durable.Rename(in("tmp/x"), in("new/x"))}})
	}, []string{"new/x=three", "new/y=three"}, nil, ""},
	{"a file without a name", func(d *durable.Disk, in func(string) string) error {
		f, err := d.FS().CreateUnnamed(in("tmp"))
		if err != nil {
			return err
		}
		if err := fill(f, "four"); err != nil {
			return err
		}
		return d.Commit(context.Background(), &durable.Tx{Files: []durable.File{f},
			Steps: []durable.Step{durable.PublishFile(f, in("new/a")), durable.PublishFile(f, in("new/b"))}})
	}, []string{"new/a=four", "new/b=four"}, nil, ""},
	{"a file that proves itself", func(d *durable.Disk, in func(string) string) error {
		f, err := written(d, in("tmp/p"), "five")
		if err != nil {
			return err
		}
		return d.Commit(context.Background(), &durable.Tx{Files: []durable.File{f}, Proven: true,
			Steps: []durable.Step{durable.Publish(in("tmp/p"), in("new/p"))}})
	}, []string{"new/p=five"}, nil, ""},
	{"remove", func(d *durable.Disk, in func(string) string) error {
		return d.Commit(context.Background(), &durable.Tx{Steps: []durable.Step{durable.Remove(in("new/x")), durable.Remove(in("new/none"))}})
	}, nil, []string{"new/x"}, ""},
}

// TestFaults lets every single call fail once, at whatever it is: who asked is
// told, nothing of what was refused is there, all that was done before is whole,
// no file stays open, and after a failed sync nothing is accepted any more.
func TestFaults(t *testing.T) {
	for mode, set := range modes {
		for n := 1; ; n++ {
			dir := t.TempDir()
			base, err := crashtest.NewUnnamed(dir)
			if err != nil {
				t.Fatal(err)
			}
			fsys := &crashtest.Faulty{FS: base}
			fsys.FailAt(n, syscall.EIO)
			done, err := perform(set(durable.New(fsys)), dir)
			failed := fsys.Failed()
			if failed == "" && err != nil {
				t.Fatal(err)
			}
			if failed != "" {
				t.Run(fmt.Sprintf("%s/%d %s", mode, n, strings.ReplaceAll(failed, "/", ".")), func(t *testing.T) {
					checkFault(t, dir, deeds[:done], deeds[min(done, len(deeds)-1)], err)
					if fsys.Open() != 0 {
						t.Errorf("%d files are open", fsys.Open())
					}
				})
			}
			base.Close()
			if failed == "" {
				break
			}
		}
	}
}

// perform does one deed after the other, up to one that fails, and tries one
// more.
func perform(d *durable.Disk, dir string) (done int, err error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, deed := range deeds {
		if err = deed.do(d, in); err != nil {
			break
		}
		done++
	}
	if err == nil {
		return done, nil
	}
	after := d.ReplaceFile(context.Background(), in("after"), []byte("after"))
	_, there := os.Stat(in("after"))
	switch poisoned := errors.Is(err, durable.ErrPoisoned); {
	case poisoned != errors.Is(after, durable.ErrPoisoned), poisoned != errors.Is(d.Err(), durable.ErrPoisoned):
		err = fmt.Errorf("%w; then %v, Err %v", err, after, d.Err())
	case poisoned != (there != nil):
		err = fmt.Errorf("%w; then %v, and the file: %v", err, after, there)
	}
	return done, err
}

func checkFault(t *testing.T, dir string, done []deed, refused deed, err error) {
	t.Helper()
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("%s: %v", refused.name, err)
	}
	sync := strings.Contains(t.Name(), "_sync")
	if sync != errors.Is(err, durable.ErrPoisoned) || strings.Contains(err.Error(), "; then") {
		t.Errorf("%s: %v", refused.name, err)
	}
	want := map[string]string{} // what is there for certain
	for _, d := range done {
		for _, entry := range d.there {
			name, _, _ := strings.Cut(entry, "=")
			want[name] = entry
		}
		for _, name := range d.gone {
			delete(want, name)
		}
	}
	for _, name := range refused.gone {
		delete(want, name)
	}
	if refused.was != "" {
		delete(want, "state")
	}
	for _, entry := range want {
		if !is(dir, entry) {
			t.Errorf("after %s failed: %s is not there", refused.name, entry)
		}
	}
	for _, want := range refused.there {
		name, _, _ := strings.Cut(want, "=")
		_, err := os.Stat(filepath.Join(dir, name))
		switch {
		case refused.was != "" && !is(dir, want) && !(refused.was == "none" && err != nil) && !is(dir, refused.was):
			t.Errorf("%s failed, and the file is neither as before nor as after: %v", refused.name, err)
		case refused.was == "" && err == nil && strings.Contains(want, "="):
			t.Errorf("%s failed, and %s is there", refused.name, name)
		}
	}
}

func is(dir, want string) bool {
	name, text, file := strings.Cut(want, "=")
	if !file {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.IsDir()
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	return err == nil && string(b) == text
}
