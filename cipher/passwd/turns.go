package passwd

import (
	"container/list"
	"context"
	"slices"
	"sync"
)

// turns gives slots to those who wait for them, in an order that keeps a storm
// of guesses from making users wait:
//
//   - Who is known goes ahead of all others. Of the others, suspects get every
//     fourth turn, and all that nobody else wants.
//   - Sources take turns, one waiter each, so that many connections from one
//     place have no more of it than one from another.
//   - While few sources wait, who came first goes first. When they are many,
//     who came last does: under an overload that order serves some at once,
//     where the other one lets all of them wait until they give up.
type turns struct {
	mu    sync.Mutex
	total int64 // slots
	free  int64
	given int // turns, of strangers
	ranks [ranks]waitingList
}

// The ranks of those who wait.
const (
	rankKnown = iota
	rankStranger
	rankSuspect
	ranks
)

const (
	// suspectTurn is how many turns of strangers there are to one of a suspect.
	suspectTurn = 4
	// manySources per slot make the last one go first.
	manySources = 8
)

// waitingList is those of one rank who wait, by source.
type waitingList struct {
	order   list.List // of *source, who came first in front
	sources map[string]*list.Element
}

type source struct {
	name    string
	waiters []*waiter
}

type waiter struct {
	slots  int64
	rank   int
	source string
	turn   chan struct{} // closed when the slots are the waiter's
}

func (t *turns) start(total int64) {
	t.total, t.free = total, total
	for i := range t.ranks {
		t.ranks[i].sources = make(map[string]*list.Element)
	}
}

// acquire waits for n slots. The error is the context's.
func (t *turns) acquire(ctx context.Context, n int64, rank int, from string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiter{slots: n, rank: rank, source: from, turn: make(chan struct{})}
	t.mu.Lock()
	t.ranks[rank].add(w)
	t.give()
	t.mu.Unlock()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ranks[rank].remove(w) { // the turn came at the same time
		t.free += n
	}
	t.give() // also if it stood in front and wanted more than others
	return ctx.Err()
}

func (t *turns) release(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free += n
	t.give()
}

// give gives free slots away. t.mu is held.
func (t *turns) give() {
	for {
		c := t.next()
		if c == nil {
			return
		}
		many := c.order.Len() > manySources*int(t.total)
		w := c.peek(many)
		if w.slots > t.free {
			return // it is not passed over, or it would wait for ever
		}
		c.take(many)
		t.free -= w.slots
		if w.rank != rankKnown {
			t.given++
		}
		close(w.turn)
	}
}

// next is the list whose turn it is.
func (t *turns) next() *waitingList {
	known, strangers, suspects := &t.ranks[rankKnown], &t.ranks[rankStranger], &t.ranks[rankSuspect]
	switch {
	case known.order.Len() > 0:
		return known
	case suspects.order.Len() > 0 && (strangers.order.Len() == 0 || t.given%suspectTurn == suspectTurn-1):
		return suspects
	case strangers.order.Len() > 0:
		return strangers
	}
	return nil
}

func (c *waitingList) add(w *waiter) {
	e, ok := c.sources[w.source]
	if !ok {
		e = c.order.PushBack(&source{name: w.source})
		c.sources[w.source] = e
	}
	s := e.Value.(*source)
	s.waiters = append(s.waiters, w)
}

func (c *waitingList) end(last bool) *list.Element {
	if last {
		return c.order.Back()
	}
	return c.order.Front()
}

// peek is who goes next, of the source that came first or last.
func (c *waitingList) peek(last bool) *waiter { return c.end(last).Value.(*source).waiters[0] }

// take removes who peek gave. The source goes to the other end: its next one
// has to wait for those of all others.
func (c *waitingList) take(last bool) {
	e := c.end(last)
	s := e.Value.(*source)
	s.waiters[0] = nil
	s.waiters = s.waiters[1:]
	switch {
	case len(s.waiters) == 0:
		c.drop(e, s)
	case last:
		c.order.MoveToFront(e)
	default:
		c.order.MoveToBack(e)
	}
}

// remove reports whether w was still waiting.
func (c *waitingList) remove(w *waiter) bool {
	e, ok := c.sources[w.source]
	if !ok {
		return false
	}
	s := e.Value.(*source)
	i := slices.Index(s.waiters, w)
	if i < 0 {
		return false
	}
	s.waiters = slices.Delete(s.waiters, i, i+1)
	if len(s.waiters) == 0 {
		c.drop(e, s)
	}
	return true
}

func (c *waitingList) drop(e *list.Element, s *source) {
	c.order.Remove(e)
	delete(c.sources, s.name)
}
