//go:build unix

package dirents

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestRead: each name comes once, also where there are more than one system call takes, with what
// it is; links are not followed.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	want := make(map[string]bool) // whether it is a regular file
	for i := range 1500 {
		name := fmt.Sprintf("%d-%s", i, strings.Repeat("x", 1+i%240))
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want[name] = true
	}
	file := filepath.Join(dir, fmt.Sprintf("0-%s", "x"))
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "dir"), 0o700), os.Symlink(file, filepath.Join(dir, "link")),
		os.Symlink("nowhere", filepath.Join(dir, "broken")), syscall.Mkfifo(filepath.Join(dir, ".fifo"), 0o600)); err != nil {
		t.Fatal(err)
	}
	want["dir"], want["link"], want["broken"], want[".fifo"] = false, false, false, false
	err := Read(dir, func(e *Entry) {
		name := string(e.Name)
		regular, known := want[name]
		if !known || regular != e.Regular() {
			t.Errorf("%q: known %v, regular %v", name, known, e.Regular())
		}
		delete(want, name)
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if runtime.GOOS == "linux" && e.Inode != info.Sys().(*syscall.Stat_t).Ino {
			t.Errorf("%q: inode %d", name, e.Inode)
		}
		if e.kind = unknown; e.Regular() != regular {
			t.Errorf("%q: regular %v, asked itself", name, !regular)
		}
	})
	if err != nil || len(want) > 0 {
		t.Errorf("%v, missing: %v", err, want)
	}
}

// TestNoDirectory: what is gone is an error that says so, and a file is none either.
func TestNoDirectory(t *testing.T) {
	none := func(e *Entry) { t.Errorf("%q", e.Name) }
	if err := Read(filepath.Join(t.TempDir(), "gone"), none); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(file, none); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), file) {
		t.Error(err)
	}
	if err := Read(t.TempDir(), none); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
}
