package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestUnnamed gives a file its names in each way there is.
func TestUnnamed(t *testing.T) {
	for name, link := range map[string]func(*os.File, string) error{
		"descriptor, or else /proc": linkFile, "/proc": linkByProc,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := createUnnamed(dir)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip("this file system makes no files without a name")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("hello"); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if names, _ := os.ReadDir(dir); len(names) > 0 {
				t.Errorf("it has a name: %v", names)
			}
			for _, n := range []string{"a", "b"} {
				name := filepath.Join(dir, n)
				if err := link(f, name); err != nil {
					t.Fatal(err)
				}
				if err := link(f, name); !errors.Is(err, fs.ErrExist) {
					t.Errorf("the same name again: %v", err)
				}
				if b, err := os.ReadFile(name); err != nil || string(b) != "hello" {
					t.Errorf("%s: %q, %v", n, b, err)
				}
				if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", n, info.Mode(), err)
				}
			}
			if err := link(f, filepath.Join(dir, "missing", "c")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("in a directory that is not there: %v", err)
			}
		})
	}
	if _, err := createUnnamed(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("for a directory that is not there: %v", err)
	}
}

// TestUnnamedOnlyWhereKnown: a file system that was not tried gets named files,
// and one that refuses once is not asked again.
func TestUnnamedOnlyWhereKnown(t *testing.T) {
	o, err := openOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	o.unnamed.Store(false)
	if _, err := o.CreateUnnamed(t.TempDir()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("unknown file system: %v", err)
	}
	proc, err := os.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	if keepsUnnamed(proc) {
		t.Error("/proc keeps files without a name")
	}
}
