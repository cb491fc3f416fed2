package queue

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

// leaving is a spool that entries are moved out of: what is done under a context that has ended fails, and one message cannot be read.
type leaving struct {
	*memory
	bad string
}

func (l leaving) Scan(ctx context.Context, each func(string, *State) error) error {
	var err error
	for _, id := range slices.Sorted(maps.Keys(l.entries)) {
		err = cmp.Or(err, each(id, l.entries[id].st))
	}
	return err
}

func (l leaving) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	if id == l.bad {
		return nil, errors.New("no key that opens it")
	}
	return l.memory.Open(ctx, id)
}

func (l leaving) Remove(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.memory.Remove(ctx, id)
}

// ending is a spool in whose first commit somebody ends the whole.
type ending struct {
	*memory
	end context.CancelFunc
}

func (s ending) Begin(ctx context.Context, e *Entry, st *State) (Writer, error) {
	w, err := s.memory.Begin(ctx, e, st)
	return endingWriter{w, s.end}, err
}

type endingWriter struct {
	Writer
	end context.CancelFunc
}

func (w endingWriter) Commit(ctx context.Context, top []byte) error {
	w.end()
	return w.Writer.Commit(ctx, top)
}

func full(t *testing.T, ids ...string) *memory {
	t.Helper()
	m := newMemory()
	for _, id := range ids {
		if err := (&Queue{Spool: m}).Submit(t.Context(), entry(id, "bob@example.net"), strings.NewReader("text of "+id)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestMoveUnread: a message that cannot be read now stays where it is, and keeps no other from being moved.
func TestMoveUnread(t *testing.T) {
	from, to := leaving{full(t, "a", "b", "c"), "b"}, newMemory()
	n, err := Move(t.Context(), from, to)
	if n != 2 || err == nil || !strings.Contains(err.Error(), "b: no key that opens it") {
		t.Errorf("%d moved, %v", n, err)
	}
	if len(from.entries) != 1 || from.entries["b"] == nil || len(to.entries) != 2 || to.entries["b"] != nil {
		t.Errorf("%v, %v", from.entries, to.entries)
	}
	from.bad = ""
	if n, err := Move(t.Context(), from, to); n != 1 || err != nil || len(to.entries) != 3 || string(to.entries["b"].body) != "text of b" {
		t.Errorf("%d moved, %v", n, err)
	}
	to.fail = func(op, id string) error { return errors.New("it is away") }
	from.memory = full(t, "d", "e")
	if n, err := Move(t.Context(), from, to); n != 0 || err == nil || strings.Count(err.Error(), "entry") != 1 || len(from.entries) != 2 {
		t.Errorf("%d moved, %v", n, err)
	}
}

// TestMoveBrokenOff: a server ends while it moves. What has got to the other side is not left on this one: it would be sent twice.
func TestMoveBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	from, to := leaving{full(t, "a", "b"), ""}, ending{newMemory(), cancel}
	n, err := Move(ctx, from, to)
	if n != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d moved, %v", n, err)
	}
	if len(from.entries) != 1 || len(to.entries) != 1 {
		t.Errorf("%v, %v", from.entries, to.entries)
	}
}
