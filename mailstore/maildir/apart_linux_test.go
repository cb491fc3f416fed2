package maildir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// elsewhere makes dir stand on another mount than its parent, in each way that
// happens, one after the other.
func elsewhere(t *testing.T, run func(t *testing.T, dir func(path string))) {
	t.Run("symbolic link", func(t *testing.T) {
		disk := mounted(t, "size=64m")
		run(t, func(path string) {
			real := filepath.Join(disk, filepath.Base(path))
			if err := os.Mkdir(real, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(real, path); err != nil {
				t.Fatal(err)
			}
		})
	})
	at := func(source, kind string, flags uintptr) func(t *testing.T) {
		return func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("mounting needs root")
			}
			run(t, func(path string) {
				if err := os.MkdirAll(path, 0o700); err != nil {
					t.Fatal(err)
				}
				if source == "" {
					source = path
				}
				if err := unix.Mount(source, path, kind, flags, ""); err != nil {
					t.Skipf("mounting is not allowed here: %v", err)
				}
				t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
			})
		}
	}
	t.Run("mount", at("tmpfs", "tmpfs", 0))
	t.Run("bind mount", at("", "", unix.MS_BIND))
}

// nothingIn checks that no unfinished copy was left.
func nothingIn(t *testing.T, dirs ...string) {
	t.Helper()
	for _, d := range dirs {
		if left, _ := filepath.Glob(filepath.Join(d, "*")); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	}
}

// TestMailboxElsewhere: one message for mailboxes on several mounts.
func TestMailboxElsewhere(t *testing.T) {
	elsewhere(t, func(t *testing.T, place func(string)) {
		s := open(t, t.TempDir())
		bob, _ := s.Path("bob@x")
		place(bob)
		big := strings.Repeat("a line of the large one\r\n", 10_000)
		for _, body := range []string{"small\r\n", big, "bare\nLF"} {
			for _, to := range [][]string{{who, "bob@x", "carol@x"}, {"bob@x", who}, {"bob@x"}} {
				if err := deliver(t, s, mailstore.Meta{Flags: "S"}, body, to...); err != nil {
					t.Fatalf("to %v: %v", to, err)
				}
			}
		}
		for user, n := range map[string]int{who: 6, "bob@x": 9, "carol@x": 3} {
			m := drop(t, s, user)
			if m.Len() != n {
				t.Errorf("%s has %d messages, want %d", user, m.Len(), n)
			}
			for i := range m.Len() {
				if body := read(t, m, i); !slices.Contains([]string{"small\r\n", big, "bare\nLF"}, body) || m.Size(i) != int64(len(body)) {
					t.Errorf("%s got %.40q", user, body)
				}
			}
			dir, _ := s.Path(user)
			nothingIn(t, filepath.Join(dir, "tmp"))
		}
		if v, said := verify(t, s, false); v.Problems != 0 {
			t.Errorf("%q", said)
		}
	})
}

// TestFolderElsewhere: messages are put away onto another disk.
func TestFolderElsewhere(t *testing.T) {
	elsewhere(t, func(t *testing.T, place func(string)) {
		ctx := context.Background()
		s := open(t, t.TempDir())
		for _, body := range []string{"one\r\n", "two\r\n", "bare\nLF"} {
			if err := deliver(t, s, mailstore.Meta{}, body, who); err != nil {
				t.Fatal(err)
			}
		}
		dir, _ := s.Path(who)
		trash := filepath.Join(dir, ".Trash")
		place(trash)
		m := drop(t, s, who)
		if err := m.(mailstore.Keeper).Move(ctx, []int{0, 2}, "Trash"); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Open(context.Background(), 0); !errors.Is(err, mailstore.ErrGone) {
			t.Errorf("still in the maildrop: %v", err)
		}
		m.Close()
		if m := drop(t, s, who); m.Len() != 1 || read(t, m, 0) != "two\r\n" {
			t.Errorf("%d messages are left", m.Len())
		}
		nothingIn(t, filepath.Join(dir, "tmp"), filepath.Join(trash, "tmp"))
		f := open(t, trash, maildir.Single(), maildir.WithMode(maildir.ReadOnly))
		if m := drop(t, f, who); m.Len() != 2 || read(t, m, 0) != "one\r\n" || read(t, m, 1) != "bare\nLF" {
			t.Errorf("in the folder: %d messages", m.Len())
		}
	})
}

// TestMailboxSplit: between the parts of one mailbox nothing can be moved as it
// must be; that is said, and is over when it is put right.
func TestMailboxSplit(t *testing.T) {
	elsewhere(t, func(t *testing.T, place func(string)) {
		s := open(t, t.TempDir())
		dir, _ := s.Path(who)
		place(filepath.Join(dir, "new"))
		err := deliver(t, s, mailstore.Meta{}, "x\r\n", "bob@x", who)
		if !errors.Is(err, mailstore.ErrUnavailable) || !strings.Contains(err.Error(), "one file system") {
			t.Errorf("delivered across: %v", err)
		}
		nothingIn(t, filepath.Join(dir, "tmp"))
		unix.Unmount(filepath.Join(dir, "new"), unix.MNT_DETACH)
		if err := os.Remove(filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", "bob@x", who); err != nil {
			t.Errorf("put right: %v", err)
		}
	})
}

// TestMountedWhileRunning: the next delivery but one finds out.
func TestMountedWhileRunning(t *testing.T) {
	elsewhere(t, func(t *testing.T, place func(string)) {
		s := open(t, t.TempDir())
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who, "bob@x"); err != nil {
			t.Fatal(err)
		}
		bob, _ := s.Path("bob@x")
		if err := os.RemoveAll(bob); err != nil {
			t.Fatal(err)
		}
		place(bob)
		for i := range 2 {
			err := deliver(t, s, mailstore.Meta{}, "y\r\n", who, "bob@x")
			if i == 1 && err != nil {
				t.Errorf("second delivery: %v", err)
			}
		}
		if m := drop(t, s, "bob@x"); m.Len() != 1 {
			t.Errorf("%d messages", m.Len())
		}
	})
}

// TestSecondMailboxTakenAway: any of a message's mailboxes may be removed by the
// administrator; later mail makes it again.
func TestSecondMailboxTakenAway(t *testing.T) {
	for _, what := range []string{"bob", "bob/new", "bob/tmp", "bob/cur"} {
		s := open(t, t.TempDir())
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who, "bob@x"); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(s.Root(), "x", what)); err != nil {
			t.Fatal(err)
		}
		var err error
		for range 2 {
			err = deliver(t, s, mailstore.Meta{Flags: "S"}, "y\r\n", who, "bob@x")
		}
		if err != nil {
			t.Errorf("without %s: %v", what, err)
		}
	}
}
