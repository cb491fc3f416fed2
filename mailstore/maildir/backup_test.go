package maildir_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// backedUp makes a backup and lists what is in it.
func backedUp(t *testing.T, s *maildir.Store, previous string, progress func(maildir.Copied)) (string, maildir.Copied, []string) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "backup")
	c, err := s.Backup(context.Background(), dst, previous, progress)
	if err != nil {
		t.Fatal(err)
	}
	return dst, c, contents(t, dst)
}

// TestBackupSeesRenamed: another program marks messages as read while the backup
// is at another one of the same mailbox.
func TestBackupSeesRenamed(t *testing.T) {
	for _, from := range []string{"new", "cur"} {
		s := open(t, t.TempDir())
		var want []string
		for _, name := range []string{"1.a.h", "2.b.h", "3.c.h", "4.d.h"} {
			if from == "cur" {
				plant(t, s, from, name+":2,", name)
			} else {
				plant(t, s, from, name, name)
			}
			want = append(want, name)
		}
		dir, _ := s.Path(who)
		renamed := false
		_, _, got := backedUp(t, s, "", func(maildir.Copied) {
			if renamed {
				return
			}
			renamed = true
			names, _ := filepath.Glob(filepath.Join(dir, from, "*"))
			for _, n := range names {
				stable, _, _ := strings.Cut(filepath.Base(n), ":")
				if err := os.Rename(n, filepath.Join(dir, "cur", stable+":2,S")); err != nil {
					t.Error(err)
				}
			}
		})
		if !renamed || !slices.Equal(got, want) {
			t.Errorf("from %s: the backup holds %q", from, got)
		}
	}
}

// TestBackupTwins: two different messages of one name, as a careless copy leaves
// them, are both kept.
func TestBackupTwins(t *testing.T) {
	s := open(t, t.TempDir())
	plant(t, s, "new", "1.a.h", "one")
	plant(t, s, "cur", "1.a.h:2,S", "two")
	plant(t, s, "cur", "1.a.h:2,RS", "three")
	dst, _, got := backedUp(t, s, "", nil)
	if !slices.Equal(got, []string{"one", "three", "two"}) {
		t.Errorf("the backup holds %q", got)
	}
	empty := open(t, t.TempDir())
	for range 2 {
		if _, err := empty.Restore(context.Background(), dst, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, empty.Root()); !slices.Equal(got, []string{"one", "three", "two"}) {
			t.Errorf("restored: %q", got)
		}
	}
}

// TestBackupFolders: what was put away into folders is part of the mailbox.
func TestBackupFolders(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	for _, body := range []string{"stays\r\n", "goes\r\n"} {
		if err := deliver(t, s, mailstore.Meta{}, body, who); err != nil {
			t.Fatal(err)
		}
	}
	m := drop(t, s, who)
	if err := m.(mailstore.Keeper).Move(ctx, []int{1}, "Trash"); err != nil {
		t.Fatal(err)
	}
	m.Close()
	dir, _ := s.Path(who)
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, "Work", "2026", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "Work", "2026", "cur", "1.x.y:2,S"), []byte("nested"), 0o600); err != nil {
		t.Fatal(err)
	}
	dst, c, got := backedUp(t, s, "", nil)
	if want := []string{"goes\n", "nested", "stays\n"}; !slices.Equal(got, want) || c.Messages != 3 {
		t.Errorf("%+v, the backup holds %q", c, got)
	}
	if _, c, got = backedUp(t, s, dst, nil); c.Linked != 3 || len(got) != 3 {
		t.Errorf("second backup: %+v %q", c, got)
	}
	empty := open(t, t.TempDir())
	for range 2 {
		if _, err := empty.Restore(ctx, dst, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, empty.Root()); !slices.Equal(got, []string{"goes\n", "nested", "stays\n"}) {
			t.Errorf("restored: %q", got)
		}
	}
	if m := drop(t, empty, who); m.Len() != 1 {
		t.Errorf("%d messages in the maildrop", m.Len())
	}
}

// TestBackupTwiceAtOnce: the second to the same place would take away what the
// first has written, and the first would call the rest complete.
func TestBackupTwiceAtOnce(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	for range 3 {
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); err != nil {
			t.Fatal(err)
		}
	}
	dst := filepath.Join(t.TempDir(), "backup")
	var second error
	tried := false
	c, err := s.Backup(ctx, dst, "", func(maildir.Copied) {
		if !tried {
			tried = true
			_, second = s.Backup(ctx, dst, "", nil)
		}
	})
	if err != nil || c.Copied != 3 {
		t.Errorf("first: %+v, %v", c, err)
	}
	if second == nil {
		t.Error("the second was not refused")
	}
	if got := contents(t, dst); len(got) != 3 {
		t.Errorf("the backup holds %q", got)
	}
	// What an interrupted one left is in nobody's way.
	again := dst + "2"
	if err := os.MkdirAll(filepath.Join(again+".partial", "example.org", "bob", "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(ctx, again, "", nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(again, "example.org", "bob")); err == nil {
		t.Error("the rest of an interrupted backup is in the next")
	}
}

func TestBackupRefused(t *testing.T) {
	s := open(t, t.TempDir())
	if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); err != nil {
		t.Fatal(err)
	}
	for _, dst := range []string{filepath.Join(s.Root(), "backup"), filepath.Join(s.Root(), "example.org", "b")} {
		if _, err := s.Backup(context.Background(), dst, "", nil); err == nil {
			t.Errorf("a backup inside the store, at %s", dst)
		}
	}
	// That a place cannot be reached does not mean that something is there.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(context.Background(), filepath.Join(file, "b"), "", nil); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a backup below a file: %v", err)
	}
	if _, err := s.Backup(context.Background(), file, "", nil); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a backup over a file: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(s.Root(), "*"))
	if len(left) != 2 { // the domain, and the owner's lock
		t.Errorf("left in the store: %q", left)
	}
}

// TestBackupChangedInPlace: nobody should change a message, but some programs do.
func TestBackupChangedInPlace(t *testing.T) {
	s := open(t, t.TempDir())
	path := plant(t, s, "new", "1.a.h", "before")
	plant(t, s, "new", "2.a.h", "the same")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	one, _, _ := backedUp(t, s, "", nil)
	plant(t, s, "new", "1.a.h", "behind")
	_, c, got := backedUp(t, s, one, nil)
	if !slices.Equal(got, []string{"behind", "the same"}) || c.Linked != 1 {
		t.Errorf("%+v, the second backup holds %q", c, got)
	}
	if got := contents(t, one); !slices.Equal(got, []string{"before", "the same"}) {
		t.Errorf("the first backup holds %q", got)
	}
}

// TestBackupUnreadable: one message that cannot be read does not cost the backup
// of all others, and is not passed over in silence.
func TestBackupUnreadable(t *testing.T) {
	if asNobody(t) {
		return
	}
	s := open(t, t.TempDir())
	plant(t, s, "new", "1.a.h", "fine")
	bad := plant(t, s, "new", "2.b.h", "hidden")
	if err := os.Chmod(bad, 0); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "backup")
	c, err := s.Backup(context.Background(), dst, "", nil)
	if !errors.Is(err, maildir.ErrIncomplete) || !strings.Contains(err.Error(), "2.b.h") || c.Failed != 1 || c.Copied != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if got := contents(t, dst); !slices.Equal(got, []string{"fine"}) {
		t.Errorf("the backup holds %q", got)
	}
}

// TestRestoreDamaged: a message whose file lost its end comes back whole, with
// its id; what is left of the damaged one stays, under another.
func TestRestoreDamaged(t *testing.T) {
	ctx := context.Background()
	for _, fixed := range []bool{false, true} {
		s := open(t, t.TempDir())
		whole := strings.Repeat("a line\r\n", 100)
		if err := deliver(t, s, mailstore.Meta{Flags: "S"}, whole, who); err != nil {
			t.Fatal(err)
		}
		if err := deliver(t, s, mailstore.Meta{UID: "of-its-own"}, whole, who); err != nil {
			t.Fatal(err)
		}
		before := uidsOf(t, s)
		dst, _, _ := backedUp(t, s, "", nil)
		dir, _ := s.Path(who)
		names, _ := filepath.Glob(filepath.Join(dir, "*", "*,*"))
		for _, n := range names {
			if err := os.Truncate(n, 50); err != nil {
				t.Fatal(err)
			}
		}
		if fixed {
			if v, said := verify(t, s, true); v.Fixed != 2 {
				t.Errorf("%+v %q", v, said)
			}
		}
		for round := range 2 {
			c, err := s.Restore(ctx, dst, nil, nil)
			if err != nil || c.Copied != int64(2-2*round) {
				t.Errorf("fixed %v, round %d: %+v, %v", fixed, round, c, err)
			}
			after := uidsOf(t, s)
			if len(after) != 4 {
				t.Errorf("%d messages", len(after))
			}
			for _, b := range before {
				if !slices.Contains(after, b) {
					t.Errorf("fixed %v: after restore there is no %.60q", fixed, b)
				}
			}
			if v, said := verify(t, s, false); v.Problems != 0 {
				t.Errorf("restored: %q", said)
			}
		}
	}
}

// TestRestoreAfterFix: a name that verify has put right is still the same message.
func TestRestoreAfterFix(t *testing.T) {
	s := open(t, t.TempDir())
	plant(t, s, "cur", "1.a.h,S=3,W=3:2,S", "longer\n")
	dst, _, _ := backedUp(t, s, "", nil)
	if v, _ := verify(t, s, true); v.Fixed != 1 {
		t.Errorf("%+v", v)
	}
	if c, err := s.Restore(context.Background(), dst, nil, nil); err != nil || c.Copied != 0 || c.Linked != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	_, err := s.Restore(context.Background(), dst, []string{"nobody@example.org"}, nil)
	if !errors.Is(err, mailstore.ErrNoMailbox) {
		t.Errorf("a mailbox the backup has not: %v", err)
	}
}

// TestBackupShares: a message for many is stored once, in the backup too.
func TestBackupShares(t *testing.T) {
	s := open(t, t.TempDir())
	to := []string{who, "b@x", "c@x", "d@y"}
	if err := deliver(t, s, mailstore.Meta{}, "for all\r\n", to...); err != nil {
		t.Fatal(err)
	}
	dst, c, got := backedUp(t, s, "", nil)
	if c.Copied != 1 || c.Linked != 3 || len(got) != 4 {
		t.Errorf("%+v %q", c, got)
	}
	back := open(t, t.TempDir())
	if _, err := back.Restore(context.Background(), dst, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, u := range to {
		if m := drop(t, back, u); m.Len() != 1 || read(t, m, 0) != "for all\r\n" {
			t.Errorf("%s has %d messages", u, m.Len())
		}
	}
}

// TestBackupWithoutNew: a mailbox somebody took new away from still has mail.
func TestBackupWithoutNew(t *testing.T) {
	s := open(t, t.TempDir())
	plant(t, s, "cur", "1.a.h:2,S", "still here")
	dir, _ := s.Path(who)
	if err := os.Remove(filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	if _, c, got := backedUp(t, s, "", nil); c.Copied != 1 || !slices.Equal(got, []string{"still here"}) {
		t.Errorf("%+v %q", c, got)
	}
}

// TestRestoreMany: mailboxes are restored beside each other, and the sums are right.
func TestRestoreMany(t *testing.T) {
	s := open(t, t.TempDir())
	var to []string
	for i := range 40 {
		to = append(to, fmt.Sprintf("u%d@x", i))
	}
	for range 3 {
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", to...); err != nil {
			t.Fatal(err)
		}
	}
	dst, _, _ := backedUp(t, s, "", nil)
	back := open(t, t.TempDir())
	var last maildir.Copied
	for round := range 2 {
		c, err := back.Restore(context.Background(), dst, nil, func(c maildir.Copied) { last = c })
		want := maildir.Copied{Mailboxes: 40, Messages: 120, Copied: 120, Octets: 240}
		if round == 1 {
			want = maildir.Copied{Mailboxes: 40, Messages: 120, Linked: 120}
		}
		if err != nil || c != want || last != want {
			t.Errorf("%+v, last told %+v, %v", c, last, err)
		}
	}
	for _, u := range to {
		if use, err := back.Usage(context.Background(), u); err != nil || use.Messages != 3 {
			t.Errorf("%s: %+v, %v", u, use, err)
		}
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := back.Restore(canceled, dst, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestRestoreUnsealed: what was sealed when the backup was made and is in clear now is longer there, and no more whole.
func TestRestoreUnsealed(t *testing.T) {
	ctx := context.Background()
	const in, sealed = "1.M000001P00000000000aQ000000.h", ",S=300,Z=6,K=aaaaaaaa.bbbbbbbbbbbbbbbb"
	s := open(t, t.TempDir())
	plant(t, s, "cur", in+sealed+":2,S", strings.Repeat("x", 300))
	dst, _, _ := backedUp(t, s, "", nil)
	dir, _ := s.Path(who)
	if err := os.Remove(filepath.Join(dir, "cur", in+sealed+":2,S")); err != nil {
		t.Fatal(err)
	}
	plant(t, s, "cur", in+",S=5,W=6:2,S", "hello")
	if err := os.WriteFile(filepath.Join(dir, "cur", in+",S=5,W=6:2,S"), []byte("hell\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Restore(ctx, dst, nil, nil); err != nil || c.Copied != 0 || c.Linked != 1 {
		t.Errorf("a whole message was taken for a damaged one: %+v, %v", c, err)
	}
	if got := contents(t, s.Root()); !slices.Equal(got, []string{"hell\n"}) {
		t.Errorf("%q", got)
	}
	if err := os.Truncate(filepath.Join(dir, "cur", in+",S=5,W=6:2,S"), 2); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Restore(ctx, dst, nil, nil); err != nil || c.Copied != 1 {
		t.Errorf("a damaged message stays: %+v, %v", c, err)
	}
}
