package queue

import (
	"errors"
	"strings"
	"testing"
)

// TestMoveAroundUnread: an entry that its spool cannot give now, sealed with a key that is not there, say, stays and is told of; the others
// are moved. A place that takes nothing now is not asked for each of them.
func TestMoveAroundUnread(t *testing.T) {
	from, to := newMemory(), newMemory()
	for _, id := range []string{"a", "b", "c", "d"} {
		e := &Entry{ID: id}
		w, err := from.Begin(t.Context(), e, NewState(e))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("text")); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	noKey, full := errors.New("no key"), errors.New("full")
	from.fail = func(op, id string) error {
		if op == "open" && (id == "a" || id == "c") {
			return noKey
		}
		return nil
	}
	n, err := Move(t.Context(), from, to)
	if n != 2 || !errors.Is(err, noKey) || !strings.Contains(err.Error(), "1 others stay") {
		t.Errorf("%d, %v", n, err)
	}
	if len(from.entries) != 2 || len(to.entries) != 2 || to.entries["b"] == nil || to.entries["d"] == nil {
		t.Errorf("%v, %v", from.entries, to.entries)
	}
	from.fail = nil
	asked := 0
	to.fail = func(op, id string) error { asked++; return full }
	if n, err := Move(t.Context(), from, to); n != 0 || !errors.Is(err, full) || asked != 1 {
		t.Errorf("%d, %v, asked %d times", n, err, asked)
	}
	to.fail = nil
	if n, err := Move(t.Context(), from, to); n != 2 || err != nil || len(from.entries) != 0 || len(to.entries) != 4 {
		t.Errorf("%d, %v", n, err)
	}
}
