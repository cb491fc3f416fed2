package queue

import (
	"context"
	"errors"
	"time"
)

// Hold keeps an entry from being tried, and from expiring, until it is
// released. An attempt that runs is not interrupted.
func (q *Queue) Hold(ctx context.Context, id string) error {
	return q.update(ctx, id, func(st *State) { st.Held = true })
}

// Release ends a Hold. What is overdue by then is tried at once, before it is
// given up.
func (q *Queue) Release(ctx context.Context, id string) error {
	return q.update(ctx, id, func(st *State) {
		st.Held = false
		st.hurry()
	})
}

// Retry makes an entry due now.
func (q *Queue) Retry(ctx context.Context, id string) error {
	err := q.update(ctx, id, (*State).hurry)
	if err == nil {
		q.forgive("")
	}
	return err
}

// Route sends an entry another way, and at once: the Transport knows what the
// name means. "" is the way that the recipients' domains choose.
func (q *Queue) Route(ctx context.Context, id, route string) error {
	return q.update(ctx, id, func(st *State) {
		st.Route = route
		st.hurry()
	})
}

// Expire gives an entry up now: the sender is told.
func (q *Queue) Expire(ctx context.Context, id string) error {
	return q.update(ctx, id, func(st *State) {
		st.Held = false
		st.hurry()
		for i := range st.To {
			st.To[i].Expire = true
		}
	})
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
	n := 0
	for _, id := range q.oldest(0, false) {
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
	if it == nil || it.flags&held != 0 || it.a != nil {
		return false
	}
	it.flags |= forced
	it.next = time.Now().UnixNano()
	if it.flags&(parked|claimed) == 0 {
		q.wait.put(it)
	}
	q.poke()
	return true
}

// forgive forgets that destinations were unreachable: those of a domain, or
// all.
func (q *Queue) forgive(domain string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, d := range q.dests {
		if domain == "" || name == domain {
			d.down = time.Time{}
		}
	}
}

// Remove takes an entry away, durably and without a word to anybody. An attempt
// under way is not interrupted, and what comes of it is forgotten.
func (q *Queue) Remove(ctx context.Context, id string) error {
	it, a, err := q.claim(ctx, id)
	if err != nil {
		return err
	}
	if a != nil {
		defer a.mu.Unlock()
		if err := q.Spool.Remove(detached(ctx), id); err != nil && !isGone(err) {
			return err
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		it.flags |= removed
		if it.pos >= 0 { // it waits in memory for its state to be written
			it.next = time.Now().UnixNano()
			q.wait.put(it)
			q.poke()
		}
		return nil
	}
	err = q.Spool.Remove(ctx, id)
	q.mu.Lock()
	defer q.mu.Unlock()
	it.flags &^= claimed
	if err == nil || isGone(err) {
		q.forget(it)
		return nil
	}
	q.wait.put(it)
	return err
}

// update changes the state of an entry, in memory and on disk.
func (q *Queue) update(ctx context.Context, id string, change func(*State)) error {
	it, a, err := q.claim(ctx, id)
	if err != nil {
		return err
	}
	if a != nil {
		defer a.mu.Unlock()
		change(a.st)
		return q.save(ctx, a)
	}
	e, st, err := q.Spool.Load(ctx, id)
	if err == nil {
		change(st)
		err = q.Spool.Save(ctx, id, st)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	it.flags &^= claimed
	switch {
	case isGone(err):
		q.forget(it)
		return err
	case err == nil:
		it.flags &^= parked
		q.follow(it, e, st)
	}
	q.wait.put(it)
	q.poke()
	return err
}

// claim gets hold of an entry for a command. One in memory is returned with its
// lock held; any other is marked, so that nobody loads it meanwhile.
func (q *Queue) claim(ctx context.Context, id string) (*item, *active, error) {
	q.start()
	for range 1000 {
		q.mu.Lock()
		it := q.index[id]
		if it == nil {
			q.mu.Unlock()
			return nil, nil, ErrNotFound
		}
		if it.a == nil && it.flags&claimed == 0 {
			it.flags |= claimed
			q.wait.take(it)
			q.mu.Unlock()
			return it, nil, nil
		}
		a := it.a
		q.mu.Unlock()
		if a != nil {
			a.mu.Lock()
			if q.still(it, a) {
				return it, a, nil
			}
			a.mu.Unlock()
		}
		// It is being loaded, or has just been let go of.
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil, nil, errors.Join(ErrBusy, ctx.Err())
}

// still: the entry is in memory as a. While a's lock is held it stays so.
func (q *Queue) still(it *item, a *active) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return it.a == a
}
