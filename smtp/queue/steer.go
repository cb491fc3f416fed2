package queue

import (
	"context"
	"errors"
	"time"
)

// Hold keeps an entry from being tried, and from expiring, until it is
// released. An attempt that runs is not interrupted.
func (q *Queue) Hold(ctx context.Context, id string) error {
	return q.update(ctx, id, Order{Kind: ToHold})
}

// Release ends a Hold. What is overdue by then is tried at once, before it is
// given up.
func (q *Queue) Release(ctx context.Context, id string) error {
	return q.update(ctx, id, Order{Kind: ToRelease})
}

// Retry makes an entry due now.
func (q *Queue) Retry(ctx context.Context, id string) error {
	err := q.update(ctx, id, Order{Kind: ToRetry})
	if err == nil {
		q.forgive("")
	}
	return err
}

// Route sends an entry another way, and at once: the Transport knows what the
// name means. "" is the way that the recipients' domains choose.
func (q *Queue) Route(ctx context.Context, id, route string) error {
	return q.update(ctx, id, Order{Kind: ToReroute, Route: route})
}

// Expire gives an entry up now: the sender is told.
func (q *Queue) Expire(ctx context.Context, id string) error {
	return q.update(ctx, id, Order{Kind: ToExpire})
}

// hurry makes all that is pending due now.
func (s *State) hurry() {
	now := stamp(time.Now())
	for i := range s.To {
		if s.To[i].Status == Pending && s.To[i].Next.After(now) {
			s.To[i].Next = now
		}
	}
}

// Flush makes all entries due now that are not held: all, or those with a
// pending recipient at a domain. It returns how many there are. It is not
// written down: after a crash they are due when they were before.
func (q *Queue) Flush(ctx context.Context, domain string) (int, error) {
	q.start()
	q.forgive(domain)
	if s := q.share(); s != nil {
		return q.askAll(ctx, s, whichAll, func(e *Entry, st *State) (Order, bool) {
			return Order{Kind: ToRetry}, !st.Held && (Filter{To: domain}).match(e, st)
		})
	}
	n := 0
	for at, err := range q.agedOf(ctx, 0, whichAll) {
		if err != nil {
			return n, err
		}
		id := at.id
		if domain != "" {
			e, st, _, err := q.look(ctx, id)
			if isGone(err) {
				continue
			}
			if err != nil {
				return n, err
			}
			if !(Filter{To: domain}).match(e, st) {
				continue
			}
		}
		if q.force(id) {
			n++
		}
	}
	return n, ctx.Err()
}

// force makes an entry due now, in memory only.
func (q *Queue) force(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.index[id]
	if it == nil || it.state == itemHeld || it.state == itemLoaded {
		return false
	}
	it.wishes |= forced
	it.next = time.Now().UnixNano()
	if it.state == itemWaiting {
		q.file(it)
	}
	return true
}

// forgive forgets that destinations were unreachable: those of a domain, or
// all.
func (q *Queue) forgive(domain string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dests.forgive(domain)
}

// Remove takes an entry away, durably and without a word to anybody. An attempt
// under way is not interrupted, and what comes of it is forgotten.
func (q *Queue) Remove(ctx context.Context, id string) error {
	it, a, was, err := q.claim(ctx, id)
	if s := q.share(); s != nil && errors.Is(err, ErrNotFound) {
		return s.Discard(ctx, id)
	}
	if err != nil {
		return err
	}
	if a != nil {
		defer a.mu.Unlock()
		if err := q.unspool(detached(ctx), id); err != nil && !isGone(err) {
			return err
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		it.wishes |= removed
		if it.pos >= 0 { // it waits in memory for its state to be written
			it.next = time.Now().UnixNano()
			q.wait.put(it)
			q.poke()
		}
		return nil
	}
	err = q.unspool(ctx, id)
	q.mu.Lock()
	defer q.mu.Unlock()
	it.state = was
	if err == nil || isGone(err) {
		q.forget(it)
		return nil
	}
	q.file(it)
	return err
}

// unspool removes an entry from the spool, also where it is another node's by now.
func (q *Queue) unspool(ctx context.Context, id string) error {
	err := q.Spool.Remove(ctx, id)
	if s := q.share(); s != nil && errors.Is(err, ErrNotFound) {
		return s.Discard(ctx, id)
	}
	return err
}

// update changes the state of an entry, in memory and on disk.
func (q *Queue) update(ctx context.Context, id string, o Order) error {
	return q.updateAll(ctx, id, []Order{o}, false)
}

// updateAll obeys orders about one entry. asked: they were left at the spool for this node.
func (q *Queue) updateAll(ctx context.Context, id string, orders []Order, asked bool) error {
	it, a, was, err := q.claim(ctx, id)
	if s := q.share(); s != nil && errors.Is(err, ErrNotFound) && !asked {
		return q.steerElsewhere(ctx, s, id, orders[0])
	}
	if err != nil {
		return err
	}
	change := func(st *State) {
		for _, o := range orders {
			o.Apply(st)
		}
		if asked {
			q.share().Heard(id, len(orders))
		}
	}
	if a != nil {
		change(a.st)
		err := q.save(ctx, a)
		a.mu.Unlock()
		if s := q.share(); s != nil && errors.Is(err, ErrNotFound) && !asked {
			return q.steerElsewhere(ctx, s, id, orders[0]) // the claim was lost
		}
		return err
	}
	e, st, err := q.Spool.Load(ctx, id)
	if err == nil {
		change(st)
		err = q.Spool.Save(ctx, id, st)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	it.state = was
	switch {
	case isGone(err):
		q.forget(it)
		return err
	case err == nil:
		it.listed = false
		q.follow(it, e, st)
	}
	q.file(it)
	return err
}

// claim gets hold of an entry for a command, as soon as nobody else works on it. One
// in memory is returned with its lock held; any other is marked, so that nobody
// loads it meanwhile, with the state that it had.
func (q *Queue) claim(ctx context.Context, id string) (it *item, a *active, was itemState, err error) {
	q.start()
	for {
		q.mu.Lock()
		it := q.index[id]
		if it == nil {
			q.mu.Unlock()
			return nil, nil, 0, ErrNotFound
		}
		switch was, a := it.state, it.a; was {
		case itemLoaded:
			q.mu.Unlock()
			a.mu.Lock()
			if q.still(it, a) {
				return it, a, was, nil
			}
			a.mu.Unlock() // it has just been let go of
		case itemClaimed:
			changed := q.awaitClaim()
			q.mu.Unlock()
			select {
			case <-ctx.Done():
				return nil, nil, 0, errors.Join(ErrBusy, ctx.Err())
			case <-changed:
			}
		default:
			it.state = itemClaimed
			q.wait.take(it)
			q.mu.Unlock()
			return it, nil, was, nil
		}
	}
}

// awaitClaim returns what is closed as soon as some item is not claimed any more.
// q.mu is held.
func (q *Queue) awaitClaim() <-chan struct{} {
	if q.unclaimed == nil {
		q.unclaimed = make(chan struct{})
	}
	return q.unclaimed
}

// tellClaimants wakes those who wait for an item. q.mu is held.
func (q *Queue) tellClaimants() {
	if q.unclaimed != nil {
		close(q.unclaimed)
		q.unclaimed = nil
	}
}

// still: the entry is in memory as a. While a's lock is held it stays so.
func (q *Queue) still(it *item, a *active) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return it.a == a
}

func isBusy(err error) bool { return errors.Is(err, ErrBusy) }
