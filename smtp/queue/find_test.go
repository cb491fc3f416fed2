package queue

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

// TestFind: an entry is found by its own id and by what the client was told of the
// message and of the session.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		for _, e := range []struct{ id, session string }{{"a", "s1-1"}, {"b", "s1-2"}, {"c", "s1-2"}, {"d", "s10-1"}, {"e", ""}, {"s1", "x-1"}} {
			n := entry(e.id, "bob@example.net")
			n.Session = e.session
			w, err := f.Begin(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range map[string]string{
			"a": "a", "s1-1": "a", "s1-2": "b c", "s10": "d", "s10-1": "d", "e": "e", "s1-": "", "s": "", "-": "", "": "",
			"s1": "s1", // an entry's own id comes first
		} {
			found, err := f.Find(t.Context(), name)
			if err != nil || strings.Join(found, " ") != want {
				t.Errorf("%q: %v, %v; want %q", name, found, err, want)
			}
		}
		unreadable := errors.New("input/output error")
		f.spool.fail = func(op, id string) error {
			if op == "load" && id == "b" {
				return unreadable
			}
			return nil
		}
		if found, err := f.Find(t.Context(), "b"); strings.Join(found, " ") != "b" || !errors.Is(err, unreadable) {
			t.Errorf("an entry that cannot be read: %v, %v", found, err)
		}
	})
}
