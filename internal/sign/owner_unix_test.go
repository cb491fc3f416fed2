//go:build unix

package sign

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFilesOfTheOwner: what root writes below a directory is its owner's, as the server reads it as that; what is
// not there is no fault.
func TestFilesOfTheOwner(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.key")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := giveTo(dir, filepath.Join(dir, "missing"), file); err != nil {
		t.Fatal(err)
	}
	if err := giveTo(filepath.Join(dir, "nowhere"), file); err == nil {
		t.Error("a directory that is missing has an owner")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	if err := os.Chown(dir, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	if err := giveTo(dir, filepath.Join(dir, "missing"), file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 4711 || s.Gid != 4712 {
		t.Errorf("the owner is %d:%d", s.Uid, s.Gid)
	}
	if err := giveTo(dir, strings.Repeat("x", 5000)); err == nil {
		t.Error("a file that cannot be given away was")
	}
}
