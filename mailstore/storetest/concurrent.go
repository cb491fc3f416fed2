package storetest

import (
	"fmt"
	"io"
	"sync"

	"github.com/postrider-mail/postrider/mailstore"
)

// concurrent delivers to and removes from the same mailboxes at once, and then
// accounts for every message.
func concurrent(s *suite) {
	const writers, each = 8, 25
	boxes := []string{alice, bob, carol}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				msg := fmt.Sprintf("%d/%d\r\n", w, i)
				d, err := s.store.Create(s.ctx, mailstore.Meta{}, boxes[i%3], boxes[(i+1)%3])
				if err != nil {
					s.Error(err)
					return
				}
				io.WriteString(d, msg)
				if err := d.Commit(s.ctx, nil); err != nil {
					s.Error(err)
				}
			}
		})
	}
	count := make([]map[string]int, 3)
	for k, u := range boxes {
		count[k] = make(map[string]int)
		wg.Go(func() {
			for range 20 {
				s.collect(u, count[k])
			}
		})
	}
	wg.Wait()
	for k, u := range boxes {
		s.collect(u, count[k])
		want := 0
		for i := range each {
			if i%3 == k || (i+1)%3 == k {
				want += writers
			}
		}
		if len(count[k]) != want {
			s.Errorf("%s: %d different messages, want %d", u, len(count[k]), want)
		}
		for msg, n := range count[k] {
			if n != 1 {
				s.Errorf("%s: %q came %d times", u, msg, n)
			}
		}
	}
}

// collect takes all messages out of a mailbox and counts them.
func (s *suite) collect(user string, count map[string]int) {
	m, err := s.store.Open(s.ctx, user)
	if err != nil {
		s.Error(err)
		return
	}
	defer m.Close()
	var is []int
	for i := range m.Len() {
		r, err := m.Open(s.ctx, i)
		if err != nil {
			s.Errorf("%s: open message: %v", user, err)
			return
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			s.Error(err)
		}
		count[string(b)]++
		is = append(is, i)
	}
	if err := m.Remove(s.ctx, is); err != nil {
		s.Error(err)
	}
}
