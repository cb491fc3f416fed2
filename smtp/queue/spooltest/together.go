package spooltest

import (
	"context"
	"errors"
	"testing"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// stranger is a Writer that no spool knows.
type stranger struct{ queue.Writer }

// together is for spools that are queue.Together.
func together(t *testing.T, open func(*testing.T) queue.Spool) {
	s, ok := open(t).(queue.Together)
	if !ok {
		t.Skip("commits each entry by itself")
	}
	begin := func(ids ...string) (ws []queue.Writer) {
		for _, id := range ids {
			e := Entry(id)
			w, err := s.Begin(t.Context(), e, queue.NewState(e))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(id + string(Body))); err != nil {
				t.Fatal(err)
			}
			ws = append(ws, w)
		}
		return ws
	}
	tops := [][]byte{[]byte("A: 1\r\n"), nil, []byte("C: 3\r\n")}
	if err := s.CommitAll(t.Context(), begin("a", "b", "c"), tops); err != nil {
		t.Fatal(err)
	}
	again := open(t)
	s = again.(queue.Together)
	same(t, ids(t, again), []string{"a", "b", "c"})
	for i, id := range []string{"a", "b", "c"} {
		want := string(tops[i]) + id + string(Body)
		same(t, string(read(t, again, id)), want)
		if _, st, err := again.Load(t.Context(), id); err != nil || st.Size != int64(len(want)) {
			t.Errorf("%s: %+v, %v", id, st, err)
		}
	}

	// One that cannot be committed keeps the others away, wherever it stands, and all end.
	for i := range tops {
		for what, spoil := range map[string]func(queue.Writer) queue.Writer{
			"an aborted entry":            func(w queue.Writer) queue.Writer { w.Abort(); return w },
			"an entry of somebody else's": func(w queue.Writer) queue.Writer { return stranger{w} },
		} {
			ws := begin("d", "e", "f")
			ws[i] = spoil(ws[i])
			if err := s.CommitAll(t.Context(), ws, tops); err == nil {
				t.Errorf("%s is committed with others", what)
			}
			for k, w := range ws {
				if err := w.Commit(t.Context(), nil); !errors.Is(err, queue.ErrClosed) {
					t.Errorf("%s at %d: Commit of %d after a CommitAll that failed: %v", what, i, k, err)
				}
			}
			same(t, ids(t, s), []string{"a", "b", "c"})
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ws := begin("d", "e", "f")
	cancel()
	want(t, s.CommitAll(ctx, ws, tops), context.Canceled)
	same(t, ids(t, s), []string{"a", "b", "c"})
	same(t, ids(t, open(t)), []string{"a", "b", "c"}) // nor for the next process
}
