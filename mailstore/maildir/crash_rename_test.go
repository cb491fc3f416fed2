package maildir_test

import (
	"fmt"
	"testing"
)

// TestCrashRename: while two mailboxes are joined, every message is at every moment
// in one of them, and in the new one once that was said.
func TestCrashRename(t *testing.T) {
	for _, how := range []syncing{each, whole} {
		t.Run(string(how), func(t *testing.T) {
			r := onRecord(t, how, false, nil)
			r.deliver("m0", "m0\r\n", "b@y") // so that there is something to join
			for i := 1; i < 5; i++ {
				r.deliver(fmt.Sprint("m", i), fmt.Sprintf("m%d\r\n", i), "a@x")
			}
			from := r.rec.Len()
			if err := r.s.Rename(t.Context(), "a@x", "b@y"); err != nil {
				t.Fatal(err)
			}
			r.rec.Mark("renamed")
			r.crashes(t, from, func(when, dir string, marks []string) { checkJoined(t, when, dir, len(marks) > 5) })
		})
	}
}

func checkJoined(t *testing.T, when, dir string, done bool) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	held := func(user string) map[string]int {
		all := make(map[string]int)
		m := drop(t, s, user)
		defer m.Close()
		for i := range m.Len() {
			all[belowTop(read(t, m, i))]++
		}
		return all
	}
	was, is := held("a@x"), held("b@y")
	for i := range 5 {
		m := fmt.Sprint("m", i)
		if was[m]+is[m] == 0 || done && is[m] != 1 {
			t.Errorf("%s: %s is %d times in the old mailbox and %d times in the new one", when, m, was[m], is[m])
		}
	}
	// What a crash has left is moved later.
	if err := s.Rename(t.Context(), "a@x", "b@y"); err != nil {
		t.Errorf("%s: again: %v", when, err)
	}
	if n := len(held("b@y")); n != 5 {
		t.Errorf("%s: in the end there are %d messages", when, n)
	}
}
