package queue

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// locked is a spool with a message that cannot be opened, as one that was sealed with a key that is not there.
type locked struct {
	*memory
	id string
}

var errLocked = errors.New("no key")

func (l locked) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	if id == l.id {
		return nil, errLocked
	}
	return l.memory.Open(ctx, id)
}

// TestMoveUnread: a message that cannot be read stays, and keeps no other one from being moved.
func TestMoveUnread(t *testing.T) {
	ids := []string{"a", "b", "c"}
	for _, stays := range ids {
		from, to := locked{newMemory(), stays}, newMemory()
		for _, id := range ids {
			e := entry(id, "x@example.org")
			w, err := from.Begin(t.Context(), e, NewState(e))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = io.WriteString(w, "text"); err == nil {
				err = w.Commit(t.Context(), nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		n, err := Move(t.Context(), from, to)
		if n != 2 || !errors.Is(err, errLocked) || !strings.Contains(err.Error(), "entry "+stays) {
			t.Errorf("%s: %d moved, %v", stays, n, err)
		}
		if to.len() != 2 || to.state(stays) != nil || from.len() != 1 || from.state(stays) == nil {
			t.Errorf("%s: %d are there and %d left", stays, to.len(), from.len())
		}
	}
}
