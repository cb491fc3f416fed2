package postgres

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// late are messages for mailboxes whose rows somebody keeps locked: an operator, a server that is stuck. They wait beside the others, who
// would all wait for the one row if they shared a transaction with them.
type late struct {
	came chan struct{} // something has come, for who sleeps

	mu      sync.Mutex
	waiting []*commit
	boxes   map[string]int // how many wait for each
	over    bool           // the store closes: nobody looks any more
}

// others takes those messages out of a group, and keeps them, that go to a mailbox that others wait for already: nobody tries again for
// each of them how long the row takes, and they come in their order.
func (l *late) others(long time.Duration, group []*commit) []*commit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return group
	}
	return slices.DeleteFunc(group, func(c *commit) bool {
		isLate := slices.ContainsFunc(c.names, func(name string) bool { return l.boxes[name] > 0 })
		if isLate {
			l.put(c, long)
		}
		return isLate
	})
}

// add keeps messages that may wait for so long from now on.
func (l *late) add(long time.Duration, all []*commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range all {
		l.put(c, long)
	}
}

// put keeps a message. l.mu is held.
func (l *late) put(c *commit, long time.Duration) {
	if l.over {
		c.answer(mailstore.ErrClosed)
		return
	}
	c.until = time.Now().Add(long)
	if l.boxes == nil {
		l.boxes = make(map[string]int)
	}
	for _, name := range c.names {
		l.boxes[name]++
	}
	l.waiting = append(l.waiting, c)
	select {
	case l.came <- struct{}{}:
	default:
	}
}

// some are the first of those that wait, as many as one group may have.
func (l *late) some() (group []*commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	octets := 0
	for _, c := range l.waiting {
		if len(group) == database.MostOfGroup || octets >= database.MostOctets {
			break
		}
		octets += c.octets()
		group = append(group, c)
	}
	return group
}

// rest takes out those that are answered, and puts what was just tried behind what was not.
func (l *late) rest(tried []*commit) (left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.waiting
	l.waiting = append(was[len(tried):len(was):len(was)], tried...)
	l.waiting = slices.DeleteFunc(l.waiting, func(c *commit) bool {
		if c.answered {
			for _, name := range c.names {
				if l.boxes[name]--; l.boxes[name] == 0 {
					delete(l.boxes, name)
				}
			}
		}
		return c.answered
	})
	return len(l.waiting)
}

// end tells those that still wait, and who comes later, that the store closes.
func (l *late) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.waiting {
		c.answer(mailstore.ErrClosed)
	}
	l.waiting, l.over = nil, true
}

// commitLate looks again and again which mailboxes are free by now, until the store closes.
func (s *Store) commitLate() {
	defer s.late.end()
	for {
		select {
		case <-s.late.came:
		case <-s.ends.Done():
			return
		}
		for left := 1; left > 0; {
			group := s.late.some()
			for _, c := range s.commitGroup(group, true) {
				if time.Now().After(c.until) {
					c.answer(unavailable("store message", fmt.Errorf("a mailbox of it is locked in the database since %s", s.timeout)))
				}
			}
			left = s.late.rest(group)
			select {
			case <-time.After(20 * time.Millisecond):
			case <-s.ends.Done():
				return
			}
		}
	}
}
