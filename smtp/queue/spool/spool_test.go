package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/internal/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

func open(t testing.TB, dir string) *spool.Spool {
	t.Helper()
	fsys, err := durable.OpenOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	s, err := spool.Open(context.Background(), dir, durable.NewCommitter(fsys))
	if err != nil {
		t.Fatal(err)
	}
	s.MinFree = 0
	s.Log = slog.New(slog.DiscardHandler)
	return s
}

func TestSuite(t *testing.T) {
	dirs := map[string]string{}
	spooltest.Run(t, func(t *testing.T) queue.Spool {
		if dirs[t.Name()] == "" {
			dirs[t.Name()] = t.TempDir()
		}
		return open(t, dirs[t.Name()])
	})
}

func add(t testing.TB, s *spool.Spool, e *queue.Entry, body []byte) {
	t.Helper()
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	w.Write(body)
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// find returns the directory of an entry.
func find(t *testing.T, dir, id string) string {
	t.Helper()
	m, err := filepath.Glob(filepath.Join(dir, "msg", "??", id))
	if err != nil || len(m) != 1 {
		t.Fatalf("find %s: %v, %v", id, m, err)
	}
	return m[0]
}

// TestCorrupt: what does not parse is put aside whole, by name, and the rest
// goes on.
func TestCorrupt(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"no envelope":   func(d string) error { return os.Remove(filepath.Join(d, "envelope")) },
		"no body":       func(d string) error { return os.Remove(filepath.Join(d, "body")) },
		"no state":      func(d string) error { return os.Remove(filepath.Join(d, "state")) },
		"short body":    func(d string) error { return os.Truncate(filepath.Join(d, "body"), 3) },
		"torn envelope": func(d string) error { return os.Truncate(filepath.Join(d, "envelope"), 100) },
		"torn state":    func(d string) error { return os.Truncate(filepath.Join(d, "state"), 40) },
		"empty state":   func(d string) error { return os.Truncate(filepath.Join(d, "state"), 0) },
		"other version": func(d string) error {
			return os.WriteFile(filepath.Join(d, "state"), []byte("postrider-state 2\nend\n"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			add(t, s, spooltest.Entry("bad"), spooltest.Body)
			add(t, s, spooltest.Entry("good"), spooltest.Body)
			if err := damage(find(t, dir, "bad")); err != nil {
				t.Fatal(err)
			}
			_, _, err := s.Load(t.Context(), "bad")
			if !errors.Is(err, queue.ErrCorrupt) {
				t.Errorf("Load: %v, want ErrCorrupt", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "corrupt", "bad")); err != nil {
				t.Errorf("not put aside: %v", err)
			}
			if _, _, err := s.Load(t.Context(), "good"); err != nil {
				t.Errorf("the other entry: %v", err)
			}
			// The id may come again, and may be damaged again.
			add(t, s, spooltest.Entry("bad"), spooltest.Body)
			damage(find(t, dir, "bad"))
			s.Load(t.Context(), "bad")
			if _, err := os.Stat(filepath.Join(dir, "corrupt", "bad.1")); err != nil {
				t.Errorf("not put aside the second time: %v", err)
			}
		})
	}
}

func TestScanPutsAside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, id := range []string{"a", "b", "c"} {
		add(t, s, spooltest.Entry(id), spooltest.Body)
	}
	os.WriteFile(filepath.Join(find(t, dir, "b"), "state"), []byte("nonsense"), 0o600)
	os.WriteFile(filepath.Join(dir, "msg", "00", "stray"), nil, 0o600)
	n := 0
	if err := s.Scan(t.Context(), func(id string, _ *queue.State) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n != 2 {
		t.Errorf("%d entries seen, want 2", n)
	}
	for _, id := range []string{"b", "stray"} {
		if _, err := os.Lstat(filepath.Join(dir, "corrupt", id)); err != nil {
			t.Error(err)
		}
	}
}

// TestHalfReplaced: the state that was about to take the place of another one
// counts if that one is not there any more.
func TestHalfReplaced(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	d := find(t, dir, "a")
	if err := os.Rename(filepath.Join(d, "state"), filepath.Join(d, "state.tmp")); err != nil {
		t.Fatal(err)
	}
	e, st, err := s.Load(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	st.To[0].Attempts = 9
	if err := s.Save(t.Context(), e.ID, st); err != nil {
		t.Fatal(err)
	}
	if _, st, err = s.Load(t.Context(), "a"); err != nil || st.To[0].Attempts != 9 {
		t.Errorf("after Save: %+v, %v", st, err)
	}
}

// TestWrongShard: an entry that an operator has put back anywhere below msg is
// found.
func TestWrongShard(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	for i := range 2 {
		if err := os.Rename(find(t, dir, "a"), filepath.Join(dir, "msg", fmt.Sprintf("%02x", i), "a")); err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := s.Scan(t.Context(), func(string, *queue.State) error { n++; return nil }); err != nil || n == 0 {
			t.Errorf("%d entries seen, %v", n, err)
		}
		if _, _, err := s.Load(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	}
}

func TestReopenEmptiesTmp(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	w, err := s.Begin(t.Context(), spooltest.Entry("a"), queue.NewState(spooltest.Entry("a")))
	if err != nil {
		t.Fatal(err)
	}
	w.Write(spooltest.Body)
	open(t, dir)
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("tmp holds %v, %v", left, err)
	}
	if err := w.Commit(t.Context()); err == nil {
		t.Error("what another process deleted is committed")
	}
}

func TestModes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), bytes.Repeat(spooltest.Body, 10000))
	for _, f := range []string{"body", "envelope", "state"} {
		fi, err := os.Stat(filepath.Join(find(t, dir, "a"), f))
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, fi.Mode(), err)
		}
	}
}
