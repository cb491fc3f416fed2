//go:build unix

package change

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/sys"
)

// TestGiveNoLink: what a link leads to keeps its mode and its owner, whoever has put it in the place of a file that was just made: the
// folder is the server's user's, and who writes there may be root.
func TestGiveNoLink(t *testing.T) {
	dir := t.TempDir()
	others, link := filepath.Join(dir, "others"), filepath.Join(dir, "link")
	if err := os.WriteFile(others, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(others, link); err != nil {
		t.Fatal(err)
	}
	like := look{owner: os.Geteuid(), group: os.Getegid(), mode: 0o666}
	if err := like.give(link); err == nil {
		t.Error("a link is followed")
	}
	if os.Geteuid() == 0 { // who can give files away
		if err := os.Chown(dir, 4321, 4321); err != nil {
			t.Fatal(err)
		}
		owner, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := sys.GiveLike(link, owner); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(others)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("what it leads to is changed: %v", info.Mode())
	}
	if is := int(info.Sys().(*syscall.Stat_t).Uid); is != os.Geteuid() {
		t.Errorf("what it leads to belongs to %d now", is)
	}
	if err := like.give(others); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(others); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info, err)
	}
}
