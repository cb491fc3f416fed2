package sys_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/internal/sys"
)

// TestLocks: a lock, of a file or a folder, keeps out whoever else asks, also in this process, and goes with the file;
// what is locked can be read.
func TestLocks(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func() (*os.File, error) {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		if err := sys.Lock(f); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	folder := func() (*os.File, error) { return sys.LockFolder(dir) }
	for what, take := range map[string]func() (*os.File, error){"file": file, "folder": folder} {
		first, err := take()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if second, err := take(); !errors.Is(err, sys.ErrHeld) {
			t.Errorf("%s: locked twice: %v, %v", what, second, err)
		}
		if text, err := os.ReadFile(name); err != nil || string(text) != "text" {
			t.Errorf("%s: %q, %v", what, text, err)
		}
		first.Close()
		again, err := take()
		if err != nil {
			t.Fatalf("%s: still locked: %v", what, err)
		}
		again.Close()
	}
}

// TestAccess: what is there can be used, what is not cannot; a folder's names can be made durable, and links are not
// opened.
func TestAccess(t *testing.T) {
	dir := t.TempDir()
	if err := sys.Access(dir, sys.Read|sys.Write|sys.Search); err != nil {
		t.Error(err)
	}
	if err := sys.Access(filepath.Join(dir, "none"), sys.Read); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := sys.SyncFolder(dir); err != nil {
		t.Error(err)
	}
	if err := sys.SyncFolder(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip("no links here:", err)
	}
	if f, err := sys.OpenPlain(link, os.O_RDONLY); err == nil {
		f.Close()
		t.Error("a link is followed")
	}
}
