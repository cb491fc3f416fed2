package sink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func openBox(t *testing.T, dir string, l Limits) *Box {
	t.Helper()
	b, err := OpenBox(dir, l, Sorting{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// TestFolderDelete: what was deleted from one inbox does not come back to it with a restart, and what nobody
// has any more leaves no file.
func TestFolderDelete(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir, Limits{})
	shared, alone := put(t, b, "Subject: one\r\n\r\n", "a@x.test", "b@x.test"), put(t, b, "Subject: two\r\n\r\n", "a@x.test")
	if err := b.DeleteAll("a@x.test", nil); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b = openBox(t, dir, Limits{})
	if n := find(b, "a@x.test", "").Total; n != 0 {
		t.Errorf("%d are in the inbox again", n)
	}
	if got := ids(find(b, "b@x.test", "").Messages); !slices.Equal(got, []string{shared}) {
		t.Errorf("b has %v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", alone+"*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestFolderForeign: a message that a person put there is shown and can be deleted, and so is one that a mail program has
// given other flags.
func TestFolderForeign(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir, Limits{})
	id := put(t, b, "Subject: ours\r\n\r\n", "a@x.test")
	b.Close()
	mail := filepath.Join(dir, "cur")
	if err := errors.Join(os.Rename(filepath.Join(mail, id+":2,"), filepath.Join(mail, id+":2,S")), os.WriteFile(filepath.Join(mail, "123.[x]:2,"), []byte("Subject: theirs\r\n\r\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, dir, Limits{})
	if p := find(b, "", ""); p.Total != 2 {
		t.Fatalf("%d messages", p.Total)
	}
	for _, m := range find(b, "", "").Messages {
		if raw, err := b.Octets("", m.ID); err != nil || !strings.HasPrefix(string(raw), "Subject: "+m.Subject) {
			t.Errorf("%s: %q, %v", m.ID, raw, err)
		}
	}
	if err := b.DeleteAll("", nil); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(mail); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestFolderTaken: a folder is one process's at a time.
func TestFolderTaken(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir, Limits{})
	if _, err := OpenBox(dir, Limits{}, Sorting{}); !errors.Is(err, ErrFolderTaken) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	b.Close()
	openBox(t, dir, Limits{})
}

// TestFolderReadOnly: a folder that cannot be written is a failure at the start, with its name.
func TestFolderReadOnly(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	openBox(t, dir, Limits{}).Close()
	sub := filepath.Join(dir, "cur")
	if err := os.Chmod(sub, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(sub, 0o700)
	if _, err := OpenBox(dir, Limits{}, Sorting{}); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), sub) {
		t.Errorf("%v", err)
	}
}

// TestFolderRestart: inboxes, marks, tags, rules and limits are as they were; nobody else may read any of it.
func TestFolderRestart(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir, Limits{})
	made, err := b.Make("team")
	if err != nil {
		t.Fatal(err)
	}
	f := &Faults{}
	if err := errors.Join(f.Set("", "@to stall first 1 to given@"), f.KeepIn(b), f.Set("team", "@to stall first 1 all"), f.Set("gone@x.test", "@to stall all"), f.Set("gone@x.test", "")); err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range 300 {
		all = append(all, put(t, b, fmt.Sprintf("Subject: %d\r\n\r\n", i), made.Address))
	}
	if err := errors.Join(b.Mark("", true, nil), b.Tag("team", []string{"red"}, all[7])); err != nil {
		t.Fatal(err)
	}
	before := b.octets
	b.Close()
	filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if info, err := d.Info(); err != nil || name != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		return err
	})
	b = openBox(t, dir, Limits{})
	p := find(b, "team", "")
	slices.Reverse(p.Messages)
	if p.Unread != 0 || !slices.Equal(ids(p.Messages), all) || !slices.Equal(p.Messages[7].Tags, []string{"red"}) || b.octets != before || !b.Login("team", made.Password) || b.Login("team", "x") {
		t.Errorf("%d unread of %d, tags %v, %d octets, not %d", p.Unread, p.Total, p.Messages[7].Tags, b.octets, before)
	}
	f = &Faults{}
	if err := f.KeepIn(b); err != nil {
		t.Fatal(err)
	}
	for inbox, want := range map[string]string{"": "", "team": "@to stall first 1 all", "gone@x.test": ""} {
		if got, _ := f.Get(inbox); got != want {
			t.Errorf("%q has the rules %q", inbox, got)
		}
	}
}

// TestFolderStuck: a message that was kept is not refused because an old one cannot be removed.
func TestFolderStuck(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir, Limits{Messages: 1})
	first := put(t, b, "Subject: first\r\n\r\n", "a@x.test")
	name := filepath.Join(dir, "cur", first+":2,")
	// A folder with something in it cannot be removed as a file is.
	if err := errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	second := put(t, b, "Subject: second\r\n\r\n", "a@x.test")
	if got := ids(find(b, "", "").Messages); !slices.Equal(got, []string{second}) {
		t.Errorf("%v", got)
	}
	if err := b.Expire(time.Now()); err == nil {
		t.Error("nobody says that a message cannot be removed")
	}
	if err := os.Remove(filepath.Join(name, "x")); err != nil {
		t.Fatal(err)
	}
	if err := b.Expire(time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}
