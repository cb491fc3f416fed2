package maildir_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func openIn(t *testing.T, dir string, mode maildir.Mode) *maildir.Store {
	t.Helper()
	s, err := maildir.Open(dir, maildir.WithMode(mode))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func putAs(t *testing.T, s *maildir.Store, uid, text string, users ...string) {
	t.Helper()
	d, err := s.Create(t.Context(), mailstore.Meta{UID: uid}, users...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(d, text); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// heldBy are the ids and texts of a mailbox.
func heldBy(t *testing.T, s *maildir.Store, user string) map[string]string {
	t.Helper()
	box, err := s.Open(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	all := make(map[string]string)
	for i := range box.Len() {
		r, err := box.Open(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		all[box.UID(i)] = string(text)
	}
	return all
}

// A mailbox takes its messages, ids and folders along; the owner of the store, in
// another process or not, finds them there and delivers to either name.
func TestRename(t *testing.T) {
	dir := t.TempDir()
	owner, tool := openIn(t, dir, maildir.Own), openIn(t, dir, maildir.Share)
	putAs(t, owner, "one", "1\r\n", "a@x.test")
	putAs(t, owner, "two", "2\r\n", "a@x.test", "c@x.test")
	box, err := owner.Open(t.Context(), "a@x.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := tool.Rename(t.Context(), "a@x.test", "b@new.test"); !errors.Is(err, mailstore.ErrLocked) {
		t.Errorf("while a session has it: %v", err)
	}
	if err := box.(mailstore.Keeper).Move(t.Context(), []int{0}, "Old"); err != nil {
		t.Fatal(err)
	}
	box.Close()
	if err := tool.Rename(t.Context(), "a@x.test", "b@new.test"); err != nil {
		t.Fatal(err)
	}
	if got := heldBy(t, owner, "b@new.test"); len(got) != 1 || got["two"] != "2\r\n" {
		t.Errorf("the new name has %q", got)
	}
	if has, _ := owner.Has("a@x.test"); has {
		t.Error("the old name is still there")
	}
	// Mail for the old name that was under way.
	putAs(t, owner, "two", "3\r\n", "a@x.test")
	putAs(t, owner, "four", "4\r\n", "a@x.test")
	if err := tool.Rename(t.Context(), "a@x.test", "b@new.test"); err != nil {
		t.Fatal(err)
	}
	got := heldBy(t, owner, "b@new.test")
	texts := slices.Sorted(func(yield func(string) bool) {
		for _, text := range got {
			if !yield(text) {
				return
			}
		}
	})
	if got["four"] != "4\r\n" || got["two"] == "" || !slices.Equal(texts, []string{"2\r\n", "3\r\n", "4\r\n"}) {
		t.Errorf("joined to %q", got)
	}
	if has, _ := owner.Has("a@x.test"); has {
		t.Error("what is empty of the old name is still there")
	}
	path, _ := owner.Path("b@new.test")
	if folders, _ := maildir.Folders(path); !slices.Equal(folders, []string{".Old"}) {
		t.Errorf("folders %q", folders)
	}
	for range 2 { // there is nothing to do
		if err := tool.Rename(t.Context(), "a@x.test", "b@new.test"); err != nil {
			t.Error(err)
		}
	}
	if use, err := owner.Usage(context.Background(), "b@new.test"); err != nil || use.Messages != 3 {
		t.Errorf("use %+v, %v", use, err)
	}
}

func TestPurge(t *testing.T) {
	dir := t.TempDir()
	owner, tool := openIn(t, dir, maildir.Own), openIn(t, dir, maildir.Share)
	putAs(t, owner, "one", "1\r\n", "a@x.test", "b@x.test")
	box, err := owner.Open(t.Context(), "a@x.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := tool.Purge(t.Context(), "a@x.test"); !errors.Is(err, mailstore.ErrLocked) {
		t.Errorf("while a session has it: %v", err)
	}
	box.Close()
	left := filepath.Join(dir, "x.test", ".gone-left") // by a crash
	if err := os.MkdirAll(filepath.Join(left, "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := tool.Purge(t.Context(), "a@x.test"); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "x.test"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "b" {
		t.Errorf("%v: left are %v", err, entries)
	}
	putAs(t, owner, "two", "2\r\n", "a@x.test")
	if got := heldBy(t, owner, "a@x.test"); len(got) != 1 || got["two"] == "" {
		t.Errorf("made again, it has %q", got)
	}
	if got := heldBy(t, owner, "b@x.test"); got["one"] != "1\r\n" {
		t.Errorf("the other one has %q", got)
	}
}

// TestRenameKeys: the keys of sealed messages go along to a mailbox that has none, and never over others.
func TestRenameKeys(t *testing.T) {
	s := openIn(t, t.TempDir(), maildir.Own)
	keys := func(user string) string {
		name, err := s.KeysPath(user)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(name)
		return string(text)
	}
	set := func(user, text string) {
		if err := s.ChangeKeys(t.Context(), user, func([]byte) ([]byte, error) { return []byte(text), nil }); err != nil {
			t.Fatal(err)
		}
	}
	set("a@x.test", "keys of a")
	putAs(t, s, "one", "1\r\n", "a@x.test", "b@x.test")
	for range 2 {
		if err := s.Rename(t.Context(), "a@x.test", "b@x.test"); err != nil {
			t.Fatal(err)
		}
		if keys("b@x.test") != "keys of a" || len(heldBy(t, s, "b@x.test")) != 2 {
			t.Errorf("%q, %q", keys("b@x.test"), heldBy(t, s, "b@x.test"))
		}
	}
	if has, _ := s.Has("a@x.test"); has {
		t.Error("what is empty of the old name is still there")
	}
	set("a@x.test", "other keys")
	if err := s.Rename(t.Context(), "a@x.test", "b@x.test"); err == nil || keys("b@x.test") != "keys of a" || keys("a@x.test") != "other keys" {
		t.Error(err, keys("b@x.test"), keys("a@x.test"))
	}
}
