package spool

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

const body = "Subject: x\r\n\r\nhello\r\n"

func sample(id string, to ...string) *queue.Entry {
	e := &queue.Entry{ID: id, Queued: time.Date(2026, 3, 1, 8, 15, 0, 0, time.UTC), From: smtp.Path{Local: "ann", Domain: "example.org"}}
	e.Params.Size = int64(len(body))
	for _, local := range to {
		e.To = append(e.To, queue.Recipient{Path: smtp.Path{Local: local, Domain: "example.net"}})
	}
	return e
}

// fileOf is an entry's file.
func fileOf(e *queue.Entry, st *queue.State) []byte {
	return append([]byte(body), formatTail(e, st, proof{sum: crc32.Checksum([]byte(body), castagnoli)})...)
}

// loads reads an entry from a file with this content, and its message.
func loads(t *testing.T, name string, content []byte) (err error, message error) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = load(name, filepath.Base(name))
	f, ferr := openEntry(name)
	if ferr != nil {
		return err, ferr
	}
	_, p, perr := parseEnvelope(f.envelope)
	if perr != nil {
		f.Close()
		return err, perr
	}
	m := newMessage(f, p, func(error) {})
	defer m.Close()
	_, message = io.ReadAll(m)
	return err, message
}

// TestDamagedAnywhere: an entry of which one octet has changed, or the end is missing, is
// no entry; one of which an octet of the message has changed has no message.
func TestDamagedAnywhere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	e := sample("a", "bob", "carol")
	whole := fileOf(e, queue.NewState(e))
	if err, message := loads(t, name, whole); err != nil || message != nil {
		t.Fatal(err, message)
	}
	for i := range whole {
		changed := append([]byte(nil), whole...)
		changed[i] ^= 1
		err, message := loads(t, name, changed)
		if inBody := i < len(body); (err == nil) != inBody || inBody && !errors.Is(message, queue.ErrCorrupt) {
			t.Errorf("octet %d of %d changed: %v; message: %v", i, len(whole), err, message)
		}
		if err, _ := loads(t, name, whole[:i]); err == nil {
			t.Errorf("cut at %d of %d, and taken", i, len(whole))
		}
	}
}

// TestTailsAroundTheGuess: a tail is read whole, whether it is shorter or longer than what
// is read at first.
func TestTailsAroundTheGuess(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	e := sample("a", "bob")
	short := len(formatTail(e, queue.NewState(e), proof{}))
	for n := guess - short - 2; n <= guess-short+2; n++ {
		e.User = strings.Repeat("x", n-len("user: \n"))
		content := fileOf(e, queue.NewState(e))
		if got := len(content) - len(body); got != short+n {
			t.Fatalf("tail of %d octets, want %d", got, short+n)
		}
		if err, message := loads(t, name, content); err != nil || message != nil {
			t.Errorf("tail of %d octets: %v, %v", short+n, err, message)
		}
	}
}

// TestPartsThatDoNotFit: an envelope with another's state, under another's name, or with
// another size is not taken for what the name says.
func TestPartsThatDoNotFit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	e := sample("a", "bob", "carol")
	st := queue.NewState(e)
	for what, change := range map[string]func(e *queue.Entry, st *queue.State){
		"other id":          func(e *queue.Entry, _ *queue.State) { e.ID = "b" },
		"fewer recipients":  func(e *queue.Entry, _ *queue.State) { e.To = e.To[:1] },
		"more recipients":   func(_ *queue.Entry, st *queue.State) { st.To = st.To[:1] },
		"a message cut off": func(e *queue.Entry, _ *queue.State) { e.Params.Size++ },
		"a longer message":  func(e *queue.Entry, _ *queue.State) { e.Params.Size-- },
	} {
		e, st := e.Clone(), st.Clone()
		change(e, st)
		if err, _ := loads(t, name, fileOf(e, st)); !errors.Is(err, errFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.WriteFile(name+stateExt, formatState(&queue.State{Queued: e.Queued, To: st.To[:1]}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err, _ := loads(t, name, fileOf(e, st)); !errors.Is(err, errFormat) {
		t.Errorf("a saved state of another: %v", err)
	}
}

// TestEveryLineCounts: a document of which one line is none is not taken for one without
// the lines behind it.
func TestEveryLineCounts(t *testing.T) {
	for what, doc := range map[string]struct {
		text  string
		parse func([]byte) error
	}{
		"envelope": {sampleEnvelope, func(b []byte) error { _, _, err := parseEnvelope(b); return err }},
		"state":    {sampleState, func(b []byte) error { _, err := parseState(b); return err }},
	} {
		lines := strings.SplitAfter(doc.text, "\n")
		for i, line := range lines[:len(lines)-1] {
			key, value, _ := strings.Cut(line, ": ")
			for _, bad := range []string{"\n", key + ":\n", key + ": \n", key + value, "x" + line, ": " + value} {
				text := strings.Join(lines[:i], "") + bad + strings.Join(lines[i+1:], "")
				if bad == line || i == 0 && bad == key+value {
					continue
				}
				if err := doc.parse([]byte(text)); err == nil {
					t.Errorf("%s: line %d is %q, and it is taken", what, i+1, bad)
				}
			}
		}
	}
}

// TestTemporary: what the system says of itself is nothing that it says of an entry.
func TestTemporary(t *testing.T) {
	of := func(err error) error {
		return fmt.Errorf("x: %w", &fs.PathError{Op: "open", Path: "x", Err: err})
	}
	for err, want := range map[error][2]bool{
		of(syscall.EMFILE): {true, true}, of(syscall.ENFILE): {true, true}, of(syscall.ENOMEM): {true, true},
		of(syscall.EIO): {true, false}, of(syscall.EACCES): {true, false},
		of(syscall.ENOENT): {false, false}, of(syscall.ENOTDIR): {false, false}, of(syscall.EISDIR): {false, false},
		errFormat: {false, false}, errTorn: {false, false},
	} {
		if got := [2]bool{temporary(err), everywhere(err)}; got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

// TestMinFree: what would leave less free than MinFree is not begun.
func TestMinFree(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, t.TempDir(), Small())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for free, want := range map[int64]error{0: nil, 1: nil, math.MaxInt64 / 2: queue.ErrFull} {
		s.MinFree = free
		if err := s.Room(ctx, 1); !errors.Is(err, want) {
			t.Errorf("room with MinFree %d: %v", free, err)
		}
		e := sample("a", "bob")
		w, err := s.Begin(ctx, e, queue.NewState(e))
		if !errors.Is(err, want) {
			t.Errorf("begin with MinFree %d: %v", free, err)
		}
		if err == nil {
			w.Abort()
		}
	}
}

// TestDescriptors: whatever is read, whole or damaged, no file stays open.
func TestDescriptors(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, t.TempDir(), Small())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.MinFree, s.Log = 1, slog.New(slog.DiscardHandler)
	add := func(id string) {
		e := sample(id, "bob")
		w, err := s.Begin(ctx, e, queue.NewState(e))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		io.WriteString(w, body)
		if err := w.Commit(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	add("whole")
	if err := s.Save(ctx, "whole", queue.NewState(sample("whole", "bob"))); err != nil {
		t.Fatal(err)
	}
	mailtest.Descriptors(t, func() {
		if _, _, err := s.Load(ctx, "whole"); err != nil {
			t.Fatal(err)
		}
		r, err := s.Open(ctx, "whole")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r)
		r.Close()
		if err := s.Scan(ctx, func(string, *queue.State) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
	strange := append([]byte(body), fmt.Sprintf("x\n%s 00000002 00000000 %08x\n", lastLine, crc32.Checksum([]byte("x\n"), castagnoli))...)
	for what, content := range map[string][]byte{"torn": []byte(body), "strange": strange} {
		mailtest.Descriptors(t, func() {
			for _, read := range []func() error{
				func() error { _, _, err := s.Load(ctx, what); return err },
				func() error { _, err := s.Open(ctx, what); return err },
				func() error { return s.Scan(ctx, func(string, *queue.State) error { return nil }) },
			} {
				if err := os.WriteFile(s.path(what), content, 0o600); err != nil {
					t.Fatal(err)
				}
				read()
			}
		})
	}
	mailtest.Descriptors(t, func() {
		add("short")
		if err := s.Save(ctx, "short", queue.NewState(sample("short", "bob"))); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(ctx, "short"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNothingToDo: a state without a recipient, or without its time, is none; it would have
// the entry taken away.
func TestNothingToDo(t *testing.T) {
	for _, text := range []string{
		"postrider-state 1\nqueued: 2026-03-01T08:15:00Z\nend\n", "postrider-state 1\nend\n", "postrider-state 1\nto: pending\nend\n",
		"postrider-state 1\nqueued: 2026-03-01T08:15:00Z\nsize: 2048\nheld: yes\nend\n",
	} {
		if st, err := parseState([]byte(text)); err == nil {
			t.Errorf("%q is taken for %+v", text, st)
		}
	}
}
