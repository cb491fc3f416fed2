//go:build unix

package change

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
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

// TestGiveGroup: a file of a group that who writes it is not in is given to that group by root only. By anybody else it is refused
// if it is to be open to the group, and else keeps his own.
func TestGiveGroup(t *testing.T) {
	foreign := os.Getegid() + 1
	name := filepath.Join(t.TempDir(), "a")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o600} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err := look{owner: os.Geteuid(), group: foreign, mode: mode}.give(name)
		info, statErr := os.Stat(name)
		if statErr != nil {
			t.Fatal(statErr)
		}
		group := int(info.Sys().(*syscall.Stat_t).Gid)
		switch refused := os.Geteuid() != 0 && mode&0o070 != 0; {
		case refused && err == nil, refused && info.Mode().Perm() != 0o600:
			t.Errorf("%04o: %v, mode %04o", mode, err, info.Mode())
		case !refused && (err != nil || info.Mode().Perm() != mode):
			t.Errorf("%04o: %v, mode %04o", mode, err, info.Mode())
		case (group == foreign) != (os.Geteuid() == 0):
			t.Errorf("%04o: group %d", mode, group)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	mailtest.Descriptors(t, func() {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (look{owner: os.Geteuid(), group: os.Getegid(), mode: 0o600}).give(name); err != nil {
			t.Fatal(err)
		}
	})
}
