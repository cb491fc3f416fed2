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

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/sealed"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

func crashBody(id string) string { return crashTop + strings.Repeat("body of "+id+"\r\n", 620) }

// crashTop is what comes last and stands on top.
const crashTop = "Received: from a by b\r\n"

// crashScript does everything a queue does to a spool, and marks what it was
// told is safe. The attempts of the state of "kept" tell its versions apart.
func crashScript(ctx context.Context, s queue.Spool, mark func(string)) error {
	put := func(id string) error {
		e := spooltest.Entry(id)
		switch id { // a place of the right size, one that is too large, one too small
		case "kept":
			e.Top = len(crashTop)
		case "sent":
			e.Top = 100
		}
		w, err := s.Begin(ctx, e, queue.NewState(e))
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := io.WriteString(w, strings.TrimPrefix(crashBody(id), crashTop)); err != nil {
			return err
		}
		if err := w.Commit(ctx, []byte(crashTop)); err != nil {
			return err
		}
		mark("queued " + id)
		return nil
	}
	for _, id := range []string{"kept", "sent"} {
		if err := put(id); err != nil {
			return err
		}
	}
	for n := 1; n <= 2; n++ {
		st := queue.NewState(spooltest.Entry("kept"))
		st.To[0].Attempts = n
		st.To[0].Last.Text = strings.Repeat("x", 300*n)
		if err := s.Save(ctx, "kept", st); err != nil {
			return err
		}
		mark(fmt.Sprint("attempt ", n))
	}
	done := queue.NewState(spooltest.Entry("sent"))
	done.To[0].Attempts = 1
	if err := s.Save(ctx, "sent", done); err != nil {
		return err
	}
	mark("saved sent")
	mark("removing sent")
	if err := s.Remove(ctx, "sent"); err != nil {
		return err
	}
	mark("removed sent")
	return put("last")
}

// A wrapper puts a spool around another.
type wrapper func(queue.Spool) queue.Spool

func bare(s queue.Spool) queue.Spool { return s }

// sealing has messages sealed while they wait.
func sealing(s queue.Spool) queue.Spool {
	keys, err := sealed.NewKeys(make([]byte, 32), true)
	if err != nil {
		panic(err)
	}
	around := sealed.New(s)
	around.Use(keys)
	return around
}

// checkCrashed opens what a crash left.
func checkCrashed(t *testing.T, dir string, marks []string, around wrapper) error {
	disk, err := durable.Open(dir)
	if err != nil {
		return err
	}
	defer disk.Close()
	s, err := spool.Open(t.Context(), dir, spool.Small(), spool.WithDisk(durable.New(crashtest.NoSync{FS: disk.FS()})))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	var log bytes.Buffer
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	found := map[string]bool{}
	err = s.Scan(t.Context(), func(id string, _ *queue.State) error { found[id] = true; return nil })
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	said := map[string]bool{}
	for _, m := range marks {
		said[m] = true
	}
	for _, id := range []string{"kept", "sent", "last"} {
		switch gone := !found[id]; {
		case gone && said["queued "+id] && !(id == "sent" && said["removing sent"]):
			return fmt.Errorf("%s was acknowledged and is gone", id)
		case !gone && id == "sent" && said["removed sent"]:
			return errors.New("sent was removed and is back")
		case gone:
			continue
		}
		err := whole(t, around(s), id, said)
		if errors.Is(err, queue.ErrCorrupt) && !said["queued "+id] {
			delete(found, id)
			continue // its proof has failed, as it should
		}
		if err != nil {
			return err
		}
	}
	return setAside(s, dir, log.String(), said, found)
}

// setAside checks what was put aside: only what the crash caught half way and was
// not acknowledged, then nowhere else, named in the log, and not taken for a loss.
func setAside(s *spool.Spool, dir, log string, said, found map[string]bool) error {
	left, err := os.ReadDir(filepath.Join(dir, "corrupt"))
	if err != nil {
		return err
	}
	n := 0
	for _, f := range left {
		id, isWhy := strings.CutSuffix(f.Name(), ".why")
		switch {
		case isWhy:
			continue
		case said["queued "+id] || found[id] || strings.Contains(id, "."):
			return fmt.Errorf("%s did not parse", id)
		case !strings.Contains(log, "id="+id+" "):
			return fmt.Errorf("%s was put aside without a word in the log: %s", id, log)
		}
		why, err := os.ReadFile(filepath.Join(dir, "corrupt", id+".why"))
		if err != nil || !bytes.HasPrefix(why, []byte(id+": ")) || bytes.Contains(why, []byte("it was acknowledged")) {
			return fmt.Errorf("of %s it is said: %s, %v", id, why, err)
		}
		n++
	}
	if counted, err := s.Corrupt(); counted != n || err != nil {
		return fmt.Errorf("%d entries put aside, %d counted, %v", n, counted, err)
	}
	return nil
}

// whole checks that what is there is there completely, in a state that is not
// older than what was acknowledged.
func whole(t *testing.T, s queue.Spool, id string, said map[string]bool) error {
	e, st, err := s.Load(t.Context(), id)
	if err != nil {
		return fmt.Errorf("%s is half there: %w", id, err)
	}
	r, err := s.Open(t.Context(), id)
	if err != nil {
		return err
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if errors.Is(err, queue.ErrCorrupt) {
		return err
	}
	if err != nil || string(body) != crashBody(id) || len(e.To) != 3 {
		return fmt.Errorf("%s has a body of %d octets, %v", id, len(body), err)
	}
	for n := 1; id == "kept" && n <= 2; n++ {
		if said[fmt.Sprint("attempt ", n)] && st.To[0].Attempts < n {
			return fmt.Errorf("attempt %d was written down and is forgotten", n)
		}
	}
	if id == "sent" && said["saved sent"] && st.To[0].Attempts != 1 {
		return errors.New("the state of sent is forgotten")
	}
	return nil
}

func record(t *testing.T, whole bool, around wrapper, forget func(what, name string) bool) (*crashtest.Recorder, string) {
	t.Helper()
	root := t.TempDir()
	r, err := crashtest.NewRecorder(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	r.Forget, r.Each, r.Whole = forget, !whole, whole
	s, err := spool.Open(t.Context(), root, spool.Small(), spool.WithDisk(durable.New(r)))
	if err != nil {
		t.Fatal(err)
	}
	s.MinFree = 0
	if err := crashScript(t.Context(), around(s), r.Mark); err != nil {
		t.Fatal(err)
	}
	return r, root
}

// replay crashes after every step in every way, and returns the first
// promise that was broken.
func replay(t *testing.T, r *crashtest.Recorder, root string, around wrapper) (tried int, err error) {
	scratch := crashtest.Scratch(t)
	for n := 0; n <= r.Len(); n++ {
		for _, how := range crashtest.Outcomes(1) {
			dir := filepath.Join(scratch, "disk")
			if err := os.Mkdir(dir, 0o700); err != nil {
				return tried, err
			}
			if err := r.Crash(root, n, how, dir); err != nil {
				return tried, err
			}
			err := checkCrashed(t, dir, r.Marks(n), around)
			os.RemoveAll(dir)
			if err != nil {
				return tried, fmt.Errorf("crash after step %d, %s: %w", n, how.Name, err)
			}
			tried++
		}
	}
	return tried, nil
}

// TestCrash cuts the power after every single operation.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of crashes")
	}
	for name, how := range map[string]struct {
		whole  bool
		around wrapper
	}{"fsync": {false, bare}, "syncfs": {true, bare}, "sealed": {false, sealing}} {
		t.Run(name, func(t *testing.T) {
			r, root := record(t, how.whole, how.around, nil)
			tried, err := replay(t, r, root, how.around)
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d crashes, %d steps", tried, r.Len())
		})
	}
}

// TestCrashIsNoticed takes syncs out, one kind at a time: the replay must find
// that a promise is broken, or it proves nothing.
func TestCrashIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of crashes")
	}
	for name, forget := range map[string]func(what, name string) bool{
		"entry": func(what, name string) bool { return what == "file" && filepath.Base(filepath.Dir(name)) == "tmp" },
		"state": func(what, name string) bool { return what == "file" && strings.Contains(filepath.Base(name), ".state") },
		"shard": func(what, name string) bool { return what == "dir" && filepath.Base(filepath.Dir(name)) == "msg" },
	} {
		t.Run(name, func(t *testing.T) {
			r, root := record(t, false, bare, forget)
			if _, err := replay(t, r, root, bare); err == nil {
				t.Error("not noticed")
			} else {
				t.Log(err)
			}
		})
	}
}
