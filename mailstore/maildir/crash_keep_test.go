package maildir_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// keepScript puts messages away and flags them, and brings others back from a
// backup. Every message was delivered before the record is of interest.
func keepScript(t *testing.T, r *replayed, backup string) (from int) {
	ctx := context.Background()
	for i := range 5 {
		r.deliver(fmt.Sprint("m", i), fmt.Sprintf("m%d\r\n", i), "a@x")
	}
	from = r.rec.Len()
	m := drop(t, r.s, "a@x")
	k := m.(mailstore.Keeper)
	do := func(mark string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		r.rec.Mark(mark)
	}
	do("moved m0", k.Move(ctx, []int{0}, "Trash"))
	do("flagged m1", k.Flag(ctx, []int{1}, "S"))
	do("flagged m1", k.Flag(ctx, []int{1}, "F"))
	do("moved m1", k.Move(ctx, []int{1}, "Trash"))
	do("moved m2", k.Move(ctx, []int{2}, "Other"))
	m.Close()
	_, err := r.s.Restore(ctx, backup, nil, nil)
	do("restored m5", err)
	return from
}

// inFolders counts each message by its text in the maildrop and in the folders.
func inFolders(t *testing.T, s *maildir.Store) (inbox, folders map[string]int, flags map[string]string) {
	t.Helper()
	inbox, folders, flags = make(map[string]int), make(map[string]int), make(map[string]string)
	m := drop(t, s, "a@x")
	defer m.Close()
	for i := range m.Len() {
		body := belowTop(read(t, m, i))
		inbox[body]++
		flags[body] = m.(mailstore.Keeper).Flags(i)
	}
	dir, _ := s.Path("a@x")
	names, err := maildir.Folders(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		for _, c := range contents(t, filepath.Join(dir, n)) {
			folders[belowTop(c)]++
		}
	}
	return inbox, folders, flags
}

// belowTop is a message's text without the top that replayed.deliver puts on it,
// where it is the right one.
func belowTop(text string) string {
	top, body, _ := strings.Cut(text, "\n")
	if body = strings.TrimSpace(body); strings.TrimSpace(top) == "Top: "+body {
		return body
	}
	return strings.TrimSpace(text)
}

// TestCrashKeeper: a message that is put away or flagged is at every moment in one
// place or the other, and where it was said to be once that was said.
func TestCrashKeeper(t *testing.T) {
	// A backup that holds one message more.
	src := open(t, t.TempDir())
	if err := deliver(t, src, mailstore.Meta{}, "m5\r\n", "a@x"); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if _, err := src.Backup(context.Background(), backup, "", nil); err != nil {
		t.Fatal(err)
	}
	for _, how := range []syncing{each, whole} {
		t.Run(string(how), func(t *testing.T) {
			r := onRecord(t, how, false, nil)
			from := keepScript(t, r, backup)
			r.crashes(t, from, func(when, dir string, marks []string) { checkKept(t, when, dir, marks) })
		})
	}
}

func checkKept(t *testing.T, when, dir string, marks []string) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	inbox, folders, flags := inFolders(t, s)
	for body := range inbox {
		if len(body) != 2 {
			t.Errorf("%s: half a message %q", when, body)
		}
	}
	for i := range 5 {
		if m := fmt.Sprint("m", i); inbox[m]+folders[m] == 0 {
			t.Errorf("%s: %s is lost", when, m)
		}
	}
	for _, mark := range marks {
		what, m, _ := strings.Cut(mark, " ")
		switch moved := slices.Contains(marks, "moved "+m); {
		case what == "moved" && (inbox[m] != 0 || folders[m] != 1),
			what == "restored" && inbox[m] != 1,
			what == "flagged" && !moved && inbox[m] > 0 && !strings.Contains(flags[m], "S"):
			t.Errorf("%s: %s, and it is %d times in the maildrop (%s), %d times in folders", when, mark, inbox[m], flags[m], folders[m])
		}
	}
}
