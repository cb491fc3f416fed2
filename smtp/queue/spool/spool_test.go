package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

func open(t testing.TB, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(context.Background(), dir)
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
	if err := w.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// find returns the file of an entry.
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
	for name, damage := range map[string]func(file string) error{
		"empty":         func(f string) error { return os.Truncate(f, 0) },
		"cut":           func(f string) error { return os.Truncate(f, 300) },
		"body shorter":  func(f string) error { return edit(f, "Subject: x", "Subject:") },
		"body differs":  func(f string) error { return edit(f, "Subject: x", "Subject: y") },
		"envelope":      func(f string) error { return edit(f, "from: ann@", "from: eve@") },
		"first state":   func(f string) error { return edit(f, "to: pending", "to: expired") },
		"last line":     func(f string) error { return edit(f, "postrider-entry 1 0", "postrider-entry 1 f") },
		"other version": func(f string) error { return edit(f, "postrider-entry 1", "postrider-entry 2") },
		"a directory":   func(f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o700)) },
		"empty state":   func(f string) error { return os.WriteFile(f+".state", nil, 0o600) },
		"torn state": func(f string) error {
			return os.WriteFile(f+".state", []byte("postrider-state 1\nqueued: 2026-03-01T08:15:00Z\n"), 0o600)
		},
		"other state": func(f string) error {
			return os.WriteFile(f+".state", []byte("postrider-state 2\nend\n"), 0o600)
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
			if err := readAll(t, s, "bad"); !errors.Is(err, queue.ErrCorrupt) {
				t.Errorf("error %v, want ErrCorrupt", err)
			}
			if err := readAll(t, s, "bad"); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("once more: error %v, want ErrNotFound", err)
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
			readAll(t, s, "bad")
			if _, err := os.Stat(filepath.Join(dir, "corrupt", "bad.1")); err != nil {
				t.Errorf("not put aside the second time: %v", err)
			}
		})
	}
}

// edit changes the first place where a file holds something.
func edit(file, from, to string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, bytes.Replace(b, []byte(from), []byte(to), 1), 0o600)
}

// readAll does what a delivery does, and returns the first error.
func readAll(t *testing.T, s *spool.Spool, id string) error {
	if _, _, err := s.Load(t.Context(), id); err != nil {
		return err
	}
	r, err := s.Open(t.Context(), id)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// TestIDsAreNoPaths: what is no id leads to no file, in the spool or elsewhere, whatever is asked.
func TestIDsAreNoPaths(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	inside := find(t, dir, "a")
	outside := filepath.Join(dir, "victim")
	whole, err := os.ReadFile(inside)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(outside, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", ".", "..", "../../victim", "../" + filepath.Base(filepath.Dir(inside)) + "/a", "./a", "a/", "a.state", "a b", "a\x00", strings.Repeat("a", 65)} {
		_, _, err := s.Load(t.Context(), id)
		r, oerr := s.Open(t.Context(), id)
		if oerr == nil {
			r.Close()
		}
		e := spooltest.Entry("a")
		for i, err := range []error{err, oerr, s.Save(t.Context(), id, queue.NewState(e)), s.Remove(t.Context(), id)} {
			if !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("%q: call %d: %v", id, i, err)
			}
		}
		e.ID = id
		if w, err := s.Begin(t.Context(), e, queue.NewState(e)); err == nil {
			w.Abort()
			t.Errorf("%q is begun", id)
		}
	}
	for _, name := range []string{inside, outside} {
		if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := readAll(t, s, "a"); err != nil {
		t.Error(err)
	}
}

// TestGivenUpIsNotDamaged: what nobody waits for any more is not done, and the entry is not put aside for it.
func TestGivenUpIsNotDamaged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Load(ctx, "a")
	_, oerr := s.Open(ctx, "a")
	b := spooltest.Entry("b")
	_, berr := s.Begin(ctx, b, queue.NewState(b))
	for i, err := range []error{err, oerr, s.Remove(ctx, "a"), berr, s.Scan(ctx, func(id string, _ *queue.State) error { t.Errorf("%s is scanned", id); return nil })} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if n, err := s.Corrupt(); n != 0 || err != nil {
		t.Errorf("%d are put aside, %v", n, err)
	}
	if err := readAll(t, s, "a"); err != nil {
		t.Error(err)
	}
}

// TestStateTooLong: a state that is one octet longer than any can be is put aside with its entry, whatever is in it.
func TestStateTooLong(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	state := find(t, dir, "a") + ".state"
	if err := errors.Join(os.WriteFile(state, nil, 0o600), os.Truncate(state, 64<<20+1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Load(t.Context(), "a"); !errors.Is(err, queue.ErrCorrupt) || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
	if n, err := s.Corrupt(); n != 1 || err != nil {
		t.Errorf("%d are put aside, %v", n, err)
	}
}

// TestDamagedBody: where reading begins again at the start, the checksum does.
func TestDamagedBody(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	if err := edit(find(t, dir, "a"), "..two", "..too"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 3 {
		if _, err := r.Read(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.(io.Seeker).Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, queue.ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", err)
	}
}

func TestScanPutsAside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, id := range []string{"a", "b", "c"} {
		add(t, s, spooltest.Entry(id), spooltest.Body)
	}
	os.WriteFile(find(t, dir, "b")+".state", []byte("nonsense"), 0o600)
	os.WriteFile(filepath.Join(dir, "msg", "00", "stray"), []byte("nonsense"), 0o600)
	os.WriteFile(filepath.Join(dir, "msg", "00", "empty"), nil, 0o600)
	os.WriteFile(filepath.Join(dir, "msg", "00", "of.another"), nil, 0o600)
	n := 0
	if err := s.Scan(t.Context(), func(id string, _ *queue.State) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n != 2 {
		t.Errorf("%d entries seen, want 2", n)
	}
	for _, id := range []string{"b", "b.state", "b.why", "stray", "stray.why", "empty", "empty.why"} {
		if _, err := os.Lstat(filepath.Join(dir, "corrupt", id)); err != nil {
			t.Error(err)
		}
	}
}

// TestHalfReplaced: the state that was about to take the place of another one
// counts if that one is not there any more, and if it is whole.
func TestHalfReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		cut  int64
		want int
	}{"whole": {0, 5}, "torn": {20, 0}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			add(t, s, spooltest.Entry("a"), spooltest.Body)
			f := find(t, dir, "a")
			attempted(t, s, 5)
			if err := os.Rename(f+".state", f+".state.tmp"); err != nil {
				t.Fatal(err)
			}
			if c.cut > 0 {
				os.Truncate(f+".state.tmp", c.cut)
			}
			_, st, err := s.Load(t.Context(), "a")
			if err != nil || st.To[0].Attempts != c.want {
				t.Errorf("%+v, %v, want %d attempts", st, err, c.want)
			}
			attempted(t, s, 9)
			if _, st, err = s.Load(t.Context(), "a"); err != nil || st.To[0].Attempts != 9 {
				t.Errorf("after Save: %+v, %v", st, err)
			}
		})
	}
}

// attempted saves a state of the entry "a".
func attempted(t *testing.T, s *spool.Spool, attempts int) {
	t.Helper()
	st := queue.NewState(spooltest.Entry("a"))
	st.To[0].Attempts = attempts
	if err := s.Save(t.Context(), "a", st); err != nil {
		t.Fatal(err)
	}
}

// TestLeftState: the state that a crash has left without its entry goes at the
// next start, and no other.
func TestLeftState(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, id := range []string{"a", "b"} {
		add(t, s, spooltest.Entry(id), spooltest.Body)
	}
	attempted(t, s, 3)
	f := find(t, dir, "b")
	os.WriteFile(f+".state", []byte("of the past"), 0o600)
	os.WriteFile(f+".state.tmp", []byte("of the past"), 0o600)
	os.Remove(f)
	if err := s.Scan(t.Context(), func(string, *queue.State) error { return nil }); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "msg", "*", "*.state*"))
	if len(left) != 1 || filepath.Base(left[0]) != "a.state" {
		t.Errorf("left are %q", left)
	}
}

// TestRemoveTakesState: nothing is left of an entry.
func TestRemoveTakesState(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	attempted(t, s, 3)
	if err := s.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "msg", "*", "*")); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

// TestWrongShard: an entry that an operator has put back anywhere below msg is
// found, with its state.
func TestWrongShard(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	attempted(t, s, 3)
	for i := range 2 {
		f, to := find(t, dir, "a"), filepath.Join(dir, "msg", fmt.Sprintf("%02x", i), "a")
		if err := errors.Join(os.Rename(f, to), os.Rename(f+".state", to+".state")); err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := s.Scan(t.Context(), func(string, *queue.State) error { n++; return nil }); err != nil || n == 0 {
			t.Errorf("%d entries seen, %v", n, err)
		}
		if _, st, err := s.Load(t.Context(), "a"); err != nil || st.To[0].Attempts != 3 {
			t.Errorf("%+v, %v", st, err)
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
	if err := w.Commit(t.Context(), nil); err == nil {
		t.Error("what another process deleted is committed")
	}
}

func TestModes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), bytes.Repeat(spooltest.Body, 10000))
	attempted(t, s, 1)
	for _, ext := range []string{"", ".state"} {
		fi, err := os.Stat(find(t, dir, "a") + ext)
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("a%s: %v, %v", ext, fi.Mode(), err)
		}
	}
}

// TestVerdict: the operator is told whether a message was lost that somebody
// had been told is safe.
func TestVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(file string) error
		want   string
	}{
		"torn":           {func(f string) error { return os.Truncate(f, 200) }, "not acknowledged"},
		"empty":          {func(f string) error { return os.Truncate(f, 0) }, "not acknowledged"},
		"bit in message": {func(f string) error { return edit(f, "bare", "bark") }, "may have been acknowledged"},
		"bit in tail":    {func(f string) error { return edit(f, "from: ann@", "from: eve@") }, "may have been acknowledged"},
		"tried before": {func(f string) error {
			return errors.Join(os.Truncate(f, 200), os.WriteFile(f+".state", []byte("x"), 0o600))
		}, "it was acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			var log bytes.Buffer
			s.Log = slog.New(slog.NewTextHandler(&log, nil))
			add(t, s, spooltest.Entry("a"), spooltest.Body)
			if err := c.damage(find(t, dir, "a")); err != nil {
				t.Fatal(err)
			}
			readAll(t, s, "a")
			why, err := os.ReadFile(filepath.Join(dir, "corrupt", "a.why"))
			if err != nil || !bytes.Contains(why, []byte(c.want)) || !bytes.Contains(log.Bytes(), []byte(c.want)) {
				t.Errorf("said %s, %v, in the log %s; want %q", why, err, log.Bytes(), c.want)
			}
			if n, err := s.Corrupt(); n != 1 || err != nil {
				t.Errorf("%d counted, %v", n, err)
			}
		})
	}
}

// address is one as a path.
func address(s string) smtp.Path {
	at := strings.LastIndexByte(s, '@')
	return smtp.Path{Local: s[:at], Domain: s[at+1:]}
}
