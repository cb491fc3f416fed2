package sink

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCost: what a header or an envelope makes of few octets counts for the limit as what it takes.
func TestCost(t *testing.T) {
	var to []string
	for i := range 1000 {
		to = append(to, fmt.Sprintf("user%d@example.com", i))
	}
	for name, c := range map[string]struct {
		raw  string
		to   []string
		most int
	}{
		"recipients": {"\r\n", to, 3},
		"addresses":  {"To: " + strings.Repeat("a@b,", 10_000) + "a@b\r\n\r\n", []string{"x@y.test"}, 1},
		"nothing":    {"", []string{"x@y.test"}, 1 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBox(Limits{Octets: 1 << 20}, Sorting{})
			for range 20 {
				put(t, b, c.raw, c.to...)
			}
			if n := find(b, "", "").Total; n > c.most || n == 0 {
				t.Errorf("%d are kept", n)
			}
			b.DeleteAll("", nil)
			if b.octets != 0 || len(b.inboxes) != 0 {
				t.Errorf("left: %d octets, %d inboxes", b.octets, len(b.inboxes))
			}
		})
	}
}

// TestWatcherHoldsNothing: a watcher who does not read keeps no octets of messages that are gone; nor
// does a copy, or a session of POP3.
func TestWatcherHoldsNothing(t *testing.T) {
	b := NewBox(Limits{Messages: 1}, Sorting{})
	events, stop := b.Watch()
	defer stop()
	put(t, b, "Subject: one\r\n\r\nbody\r\n", "a@x.test")
	drop := b.drop("")
	put(t, b, "Subject: two\r\n\r\nbody\r\n", "a@x.test")
	if e := <-events; e.Message.raw != nil || e.Message.searched.text != "" {
		t.Error("an event holds a message")
	}
	if _, err := drop.Open(t.Context(), 0); err == nil || drop.Size(0) == 0 {
		t.Errorf("POP3: %v", err)
	}
}

// TestManyTags: a header can bring so many and no more.
func TestManyTags(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	var tags []string
	for i := range 50_000 {
		tags = append(tags, fmt.Sprintf("t%d", i))
	}
	m, err := b.Get("", put(t, b, "X-Tags: "+strings.Join(tags, ",\r\n ")+"\r\n\r\n", "a@x.test"))
	if err != nil || len(m.Tags) != mostTags {
		t.Errorf("%d tags, %v", len(m.Tags), err)
	}
}

// TestDeleteEvents: who watches an inbox hears of its own messages only, and who watches all is not told that
// one is gone while others still have it.
func TestDeleteEvents(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	one, two := put(t, b, "\r\n", "a@x.test", "b@x.test"), put(t, b, "\r\n", "a@x.test", "c@x.test")
	three := put(t, b, "\r\n", "d@x.test")
	events, stop := b.Watch()
	defer stop()
	heard := func(inbox string) (list []string) {
		for range len(events) {
			if e := <-events; e.In(inbox) {
				list = append(list, fmt.Sprint(e.Kind, e.ID))
			}
		}
		return list
	}
	told := func(id string) string { return fmt.Sprint(Removed, id) }
	for _, c := range []struct {
		inbox, from string
		ids, want   []string
	}{
		{"", "a@x.test", []string{one, one}, nil},
		{"a@x.test", "a@x.test", []string{two}, []string{told(two)}},
		{"b@x.test", "", []string{two}, nil},
		{"b@x.test", "", []string{one}, []string{told(one)}},
		{"", "", []string{three, three}, []string{fmt.Sprint(Emptied)}},
	} {
		if err := b.Delete(c.from, c.ids...); err != nil {
			t.Fatal(err)
		}
		if got := heard(c.inbox); !slices.Equal(got, c.want) {
			t.Errorf("%q hears %q, not %q", c.inbox, got, c.want)
		}
	}
	put(t, b, "\r\n", "a@x.test")
	id := put(t, b, "\r\n", "a@x.test")
	heard("")
	b.Delete("", id, id) // two ids, and two messages: not all of them
	if got := heard(""); !slices.Equal(got, []string{told(id)}) {
		t.Errorf("%q", got)
	}
}

// TestNames: whatever names an inbox, it is that one and never all messages.
func TestNames(t *testing.T) {
	b := NewBox(Limits{}, Sorting{By: ByField, Field: "X-Test"})
	for _, name := range []string{"-", ".", "..", "a/b", "a/../b", "ä ö", "%2F", "?x=y#z"} {
		id := NewID()
		if err := b.Put(t.Context(), id, Envelope{Received: time.Now()}, []byte("X-Test: "+name+"\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		m, _ := b.Get("", id)
		if len(m.Inboxes) != 1 || m.Inboxes[0] != b.Name(name) || b.Name(m.Inboxes[0]) != m.Inboxes[0] {
			t.Errorf("%q: in %q", name, m.Inboxes)
		}
		switch m.Inboxes[0] {
		case "-", ".", "..", "":
			t.Errorf("%q is no name for a path", m.Inboxes[0])
		}
	}
}
