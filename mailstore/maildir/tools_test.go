package maildir_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func verify(t *testing.T, s *maildir.Store, fix bool) (maildir.Verified, []string) {
	t.Helper()
	var said []string
	v, err := s.Verify(context.Background(), fix, func(p maildir.Problem) { said = append(said, p.String()) })
	if err != nil {
		t.Fatal(err)
	}
	return v, said
}

func TestVerify(t *testing.T) {
	s := open(t, t.TempDir())
	for _, body := range []string{"fine\r\n", "bare\nLF", ""} {
		if err := deliver(t, s, mailstore.Meta{UID: "imported" + body[:min(1, len(body))]}, body, who, "bob@x"); err != nil {
			t.Fatal(err)
		}
	}
	if v, said := verify(t, s, false); v.Problems != 0 || v.Messages != 6 || v.Mailboxes != 2 {
		t.Errorf("a sound store: %+v %q", v, said)
	}
	plant(t, s, "cur", "1.lies,S=9,W=9:2,S", "x\n")
	plant(t, s, "cur", "2.twice:2,", "a\n")
	plant(t, s, "new", "2.twice", "b\n")
	plant(t, s, "new", "3.flagged:2,F", "c\n")
	dir, _ := s.Path(who)
	os.Mkdir(filepath.Join(dir, "new", "folder"), 0o700)
	os.MkdirAll(filepath.Join(s.Root(), "x", "UPPER", "new"), 0o700)
	os.Remove(filepath.Join(s.Root(), "x", "bob", "tmp"))
	before := contents(t, s.Root())
	v, said := verify(t, s, false)
	if v.Problems != 6 || v.Fixed != 0 {
		t.Errorf("%+v\n%s", v, strings.Join(said, "\n"))
	}
	if !slices.Equal(before, contents(t, s.Root())) {
		t.Error("verifying without -fix changed something")
	}
	v, said = verify(t, s, true)
	if v.Problems != 6 || v.Fixed != 4 {
		t.Errorf("%+v\n%s", v, strings.Join(said, "\n"))
	}
	if after := contents(t, s.Root()); !slices.Equal(before, after) {
		t.Errorf("a message was changed or lost:\n%q\n%q", before, after)
	}
	if v, said := verify(t, s, true); v.Problems != 2 { // for a person
		t.Errorf("after repair: %+v\n%s", v, strings.Join(said, "\n"))
	}
}

// contents lists what all files below root hold.
func contents(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && !strings.Contains(path, "postrider.lock") {
			b, _ := os.ReadFile(path)
			out = append(out, string(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func TestBackup(t *testing.T) {
	ctx := context.Background()
	base := t.TempDir()
	s := open(t, filepath.Join(base, "mail"))
	for i := range 20 {
		if err := deliver(t, s, mailstore.Meta{}, fmt.Sprint(i, "\r\n"), who, "bob@x"); err != nil {
			t.Fatal(err)
		}
	}
	uids := uidsOf(t, s)
	one := filepath.Join(base, "one")
	if c, err := s.Backup(ctx, one, "", nil); err != nil || c.Copied != 20 || c.Linked != 20 {
		t.Fatalf("first backup: %+v, %v", c, err)
	}
	if _, err := s.Backup(ctx, one, "", nil); err == nil {
		t.Error("a backup was written over")
	}
	// Some go, some are marked read, some come: while the next backup runs.
	dir, _ := s.Path(who)
	names, _ := filepath.Glob(filepath.Join(dir, "new", "*"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, n := range names[:10] {
			os.Rename(n, filepath.Join(dir, "cur", filepath.Base(n)+":2,S"))
		}
		for i := range 10 {
			if err := deliver(t, s, mailstore.Meta{}, fmt.Sprint("new ", i, "\r\n"), "bob@x"); err != nil {
				t.Error(err)
			}
		}
	})
	two := filepath.Join(base, "two")
	c, err := s.Backup(ctx, two, one, nil)
	wg.Wait()
	if err != nil || c.Linked != 40 || c.Copied > 10 {
		t.Fatalf("second backup: %+v, %v", c, err)
	}
	b := open(t, two, maildir.WithMode(maildir.ReadOnly))
	if v, said := verify(t, b, false); v.Problems != 0 || v.Messages != c.Messages {
		t.Errorf("backup: %+v %q", v, said)
	}
	// All is lost; all comes back, with the ids it had, and once only.
	m := drop(t, s, who)
	if err := m.Remove(ctx, []int{0, 1, 2, 15}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	if err := os.RemoveAll(filepath.Join(s.Root(), "x")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, s.Root())
	for want := range 2 {
		c, err := s.Restore(ctx, one, nil, nil)
		if err != nil || (c.Copied == 0) != (want == 1) {
			t.Errorf("restore: %+v, %v", c, err)
		}
		if got := uidsOf(t, s); !slices.Equal(got, uids) {
			t.Errorf("after restore: %q\nwant %q", got, uids)
		}
	}
	if v, said := verify(t, s, false); v.Problems != 0 {
		t.Errorf("restored: %q", said)
	}
}

func uidsOf(t *testing.T, s *maildir.Store) []string {
	t.Helper()
	var out []string
	for _, u := range []string{who, "bob@x"} {
		m := drop(t, s, u)
		for i := range m.Len() {
			out = append(out, u+" "+m.UID(i)+" "+read(t, m, i))
		}
		m.Close()
	}
	slices.Sort(out)
	return out
}
