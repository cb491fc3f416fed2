package maildir

import (
	"fmt"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
)

// TestListingsAreBounded: of the listings that were read, those stay in memory that were used last, as many as there is
// room for; one that is being used stays whatever it takes.
func TestListingsAreBounded(t *testing.T) {
	const room = 3*(2+overhead) + 1 // for three mailboxes of two messages
	s, err := Open(t.TempDir(), WithCache(room))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	look := func(i int) {
		t.Helper()
		m, err := s.Open(t.Context(), fmt.Sprintf("u%d@x.test", i))
		if err != nil || m.Len() != 2 {
			t.Fatal(m, err)
		}
		m.Close()
	}
	for i := range 6 {
		for range 2 {
			d, err := s.Create(t.Context(), mailstore.Meta{}, fmt.Sprintf("u%d@x.test", i))
			if err == nil {
				_, err = d.Write([]byte("Subject: x\r\n\r\nx\r\n"))
			}
			if err == nil {
				err = d.Commit(t.Context(), nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	kept := func() (all string) {
		for i := range 6 {
			for b, h := range s.cache.held {
				if b == s.boxes[fmt.Sprintf("x.test/u%d", i)] {
					if b.list == nil || h.cost != 2+overhead {
						t.Errorf("mailbox %d: %v, %+v", i, b.list, h)
					}
					all += fmt.Sprint(i)
				}
			}
		}
		return all
	}
	for _, step := range []struct {
		look int
		want string
	}{{0, "0"}, {1, "01"}, {2, "012"}, {3, "123"}, {4, "234"}, {4, "234"}, {5, "345"}} {
		look(step.look)
		if got := kept(); got != step.want || s.cache.total != len(got)*(2+overhead) {
			t.Errorf("after mailbox %d there are %s, of %d, not %s", step.look, got, s.cache.total, step.want)
		}
	}
	busy := s.boxes["x.test/u3"]
	busy.mu.Lock()
	look(0)
	busy.mu.Unlock()
	look(1)
	if got := kept(); got[len(got)-1] == '5' && s.cache.total > room+2+overhead || busy.list == nil {
		t.Errorf("beside one in use there are %s, of %d", got, s.cache.total)
	}
}

// TestSizesOf: what cannot be opened has no size, and none of nothing.
func TestSizesOf(t *testing.T) {
	if disk, wire, err := sizesOf(t.TempDir() + "/nothing"); err == nil {
		t.Errorf("%d and %d octets", disk, wire)
	}
}
