package sink

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// put puts a message made of a header and a body into the Box.
func put(t testing.TB, b *Box, raw string, to ...string) string {
	t.Helper()
	id := NewID()
	if err := b.Put(context.Background(), id, Envelope{From: "sender@example.com", To: to, Received: time.Now(), Host: "sink.test"}, []byte(raw)); err != nil {
		t.Fatal(err)
	}
	return id
}

func ids(ms []Message) (list []string) {
	for _, m := range ms {
		list = append(list, m.ID)
	}
	return list
}

func find(b *Box, inbox, query string) Page {
	return b.Find(Query{Inbox: inbox, Search: ParseSearch(query, time.UTC), Limit: -1})
}

func TestInboxes(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	one := put(t, b, "Subject: one\r\n\r\nHello\r\n", "a@example.com", "B@Example.COM", "c@example.com")
	two := put(t, b, "Subject: two\r\n\r\nHello\r\n", "b@example.com")
	// One message, three inboxes; what an address means is not a matter of case.
	if got := ids(find(b, "", "").Messages); !slices.Equal(got, []string{two, one}) {
		t.Errorf("all: %v", got)
	}
	if got := ids(find(b, b.Name("b@EXAMPLE.com"), "").Messages); !slices.Equal(got, []string{two, one}) {
		t.Errorf("b: %v", got)
	}
	if got := len(b.Inboxes()); got != 3 {
		t.Errorf("%d inboxes", got)
	}
	// What is thrown away in one inbox stays in the others, and is gone with the last.
	for i, name := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		if _, err := b.Get("", one); err != nil {
			t.Fatalf("gone after %d inboxes", i)
		}
		if err := b.DeleteAll(name, nil); err != nil {
			t.Fatal(err)
		}
		if n := find(b, name, "").Total; n != 0 {
			t.Errorf("%d left in %s", n, name)
		}
	}
	if p := find(b, "", ""); p.Total != 0 || b.octets != 0 || len(b.byID) != 0 || len(b.inboxes) != 0 {
		t.Errorf("left: %d, %d octets, %d inboxes", p.Total, b.octets, len(b.inboxes))
	}
}

// Fifty tests at a time, each with an inbox of its own: nobody sees or loses a
// foreign message.
func TestParallel(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	t.Run("all", func(t *testing.T) {
		for i := range 50 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				m, err := b.Make("")
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := b.DeleteAll(m.Name, nil); err != nil {
						t.Fatal(err)
					}
					var sent []string
					for n := range 20 {
						sent = append(sent, put(t, b, fmt.Sprintf("Subject: %d\r\n\r\n", n), m.Address))
					}
					got, _ := b.Wait(t.Context(), m.Name, nil, time.Time{}, 20)
					if !slices.Equal(ids(got), sent) {
						t.Errorf("%v, not %v", ids(got), sent)
					}
				}
			})
		}
	})
}

func TestLimits(t *testing.T) {
	now := time.Now()
	for name, l := range map[string]Limits{"number": {Messages: 3}, "octets": {Octets: 3*2100 + 500}, "age": {Age: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			b := NewBox(l, Sorting{})
			var all []string
			for i := range 8 {
				id := NewID()
				at := now.Add(time.Duration(i)*10*time.Minute - 95*time.Minute)
				if err := b.Put(t.Context(), id, Envelope{To: []string{"a@x.test"}, Received: at}, make([]byte, 2000)); err != nil {
					t.Fatal(err)
				}
				all = append(all, id)
			}
			left := ids(find(b, "", "").Messages)
			slices.Reverse(left)
			if len(left) == 0 || len(left) > 4 || !slices.Equal(left, all[len(all)-len(left):]) {
				t.Errorf("left: %d: %v", len(left), left)
			}
			c, _, _ := b.Counts()
			if got := c.ByNumber + c.ByOctets + c.ByAge; int(got) != len(all)-len(left) {
				t.Errorf("%d were counted as dropped, %d are left", got, len(left))
			}
		})
	}
	b := NewBox(Limits{Octets: 100}, Sorting{})
	if err := b.Put(t.Context(), NewID(), Envelope{}, make([]byte, 101)); err != ErrTooLarge {
		t.Errorf("larger than all: %v", err)
	}
}

// Whatever is done, in whatever order, the lists agree with a simple model.
func TestModel(t *testing.T) {
	b := NewBox(Limits{Messages: 40}, Sorting{})
	var model []Message
	for i := range 2000 {
		switch i % 7 {
		case 0, 1, 2, 3:
			to := []string{fmt.Sprintf("u%d@x.test", i%5), fmt.Sprintf("u%d@x.test", i%3)}
			id := put(t, b, "\r\n", to...)
			m, _ := b.Get("", id)
			if model = append(model, m); len(model) > 40 {
				model = model[1:]
			}
		case 4:
			name := fmt.Sprintf("u%d@x.test", i%4)
			if i%3 == 0 {
				if err := b.DeleteAll(name, nil); err != nil {
					t.Fatal(err)
				}
				var left []Message
				for _, m := range model {
					was := len(m.Inboxes)
					m.Inboxes = slices.DeleteFunc(slices.Clone(m.Inboxes), func(s string) bool { return s == name })
					if len(m.Inboxes) > 0 || was == 0 {
						left = append(left, m)
					}
				}
				model = left
			}
		case 5:
			if len(model) > 0 {
				k := i % len(model)
				if err := b.Delete("", model[k].ID, model[k].ID, "nobody"); err != nil {
					t.Fatal(err)
				}
				model = slices.Delete(model, k, k+1)
			}
		case 6:
			if len(model) > 0 {
				k := i % len(model)
				model[k].Read = i%2 == 0
				if err := b.Mark("", model[k].Read, nil, model[k].ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, inbox := range []string{"", "u0@x.test", "u1@x.test", "u2@x.test"} {
			var want []string
			unread := 0
			for _, m := range slices.Backward(model) {
				if inbox == "" || slices.Contains(m.Inboxes, inbox) {
					want = append(want, m.ID)
					if !m.Read {
						unread++
					}
				}
			}
			p := find(b, inbox, "")
			if !slices.Equal(ids(p.Messages), want) || p.Unread != unread || p.Total != len(want) {
				t.Fatalf("step %d, inbox %q: %d of %d, %d unread, want %d", i, inbox, len(p.Messages), len(want), p.Unread, unread)
			}
		}
	}
}

func TestAfter(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	var sent, got []string
	mark := uint64(0)
	for i := range 100 {
		sent = append(sent, put(t, b, "\r\n", "a@x.test"))
		if i%3 == 0 {
			var page []Message
			page, mark = b.After("", mark, 2)
			got = append(got, ids(page)...)
		}
		if i == 50 {
			b.Delete("", sent[3])
		}
	}
	for {
		page, next := b.After("", mark, 7)
		if len(page) == 0 {
			break
		}
		got, mark = append(got, ids(page)...), next
	}
	if !slices.Equal(got, sent) {
		t.Errorf("%d came, %d were sent", len(got), len(sent))
	}
}
