package queue

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// holders is how many entries are held at a time: their states are written to disk
// together.
const holders = 16

// What is done about all that a user has in the queue waits for Run to have found it.

// HoldAll holds every entry that a user has in the queue and that is not held yet, and
// says why. It returns how many there were. Attempts that run are not interrupted.
func (q *Queue) HoldAll(ctx context.Context, user, cause string) (n int, err error) {
	entries := make(chan string)
	var (
		mu   sync.Mutex
		errs []error
		all  sync.WaitGroup
	)
	for range holders {
		all.Go(func() {
			for id := range entries {
				done, err := q.holdFor(ctx, id, user, cause)
				mu.Lock()
				if done {
					n++
				}
				if err != nil && len(errs) < holders {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	if q.knowsAll(ctx) {
		for at, err := range q.agedOf(ctx, 0, Which{After: whichAll.After, User: user}) {
			if err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			if err != nil || ctx.Err() != nil {
				break
			}
			entries <- at.id
		}
	}
	close(entries)
	all.Wait()
	return n, errors.Join(append(errs, ctx.Err())...)
}

// knowsAll waits until Run has found what was in the spool. Before, what is asked about all
// of it would be about some.
func (q *Queue) knowsAll(ctx context.Context) bool {
	q.start()
	select {
	case <-q.scanned:
		return true
	case <-ctx.Done():
		return false
	}
}

// holdFor holds an entry if it is the user's.
func (q *Queue) holdFor(ctx context.Context, id, user, cause string) (bool, error) {
	e, st, _, err := q.look(ctx, id)
	if err == nil && (e.User != user || st.Held) {
		return false, nil
	}
	if err == nil {
		err = q.update(ctx, id, Order{Kind: ToHold, Cause: cause})
	}
	if isGone(err) {
		return false, nil // it has left meanwhile
	}
	return err == nil, err
}

// ReleaseAll releases what HoldAll, or Entry.Hold, has held for a user and a cause, the
// oldest first, so that they are due in the order in which they came, and leave in it for each
// destination that takes one message at a time (where several nodes share the Spool, for each of them).
// It returns how many there were. What an operator has held by hand stays.
func (q *Queue) ReleaseAll(ctx context.Context, user, cause string) (n int, err error) {
	due := time.Now()
	if s := q.share(); s != nil && q.knowsAll(ctx) {
		return q.askAll(ctx, s, Which{After: whichAll.After, Held: true, User: user}, func(e *Entry, st *State) (Order, bool) {
			due = due.Add(time.Microsecond)
			return Order{Kind: ToRelease, Cause: cause, Due: due}, e.User == user && st.Held && st.Cause == cause
		})
	}
	return q.eachHeld(ctx, user, cause, func(id string) error {
		due = due.Add(time.Microsecond)
		return q.update(ctx, id, Order{Kind: ToRelease, Cause: cause, Due: due})
	})
}

// RemoveAll takes away what is held for a user and a cause, without a word to anybody. It
// returns how many there were.
func (q *Queue) RemoveAll(ctx context.Context, user, cause string) (n int, err error) {
	return q.eachHeld(ctx, user, cause, func(id string) error { return q.Remove(ctx, id) })
}

// CountHeld is how many entries are held for a user and a cause.
func (q *Queue) CountHeld(ctx context.Context, user, cause string) (int, error) {
	return q.eachHeld(ctx, user, cause, func(string) error { return nil })
}

// eachHeld calls f for each entry that is held for a user and a cause, the oldest first.
func (q *Queue) eachHeld(ctx context.Context, user, cause string, f func(id string) error) (n int, err error) {
	if !q.knowsAll(ctx) {
		return 0, ctx.Err()
	}
	for at, err := range q.agedOf(ctx, 0, Which{After: whichAll.After, Held: true, User: user}) {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return n, err
		}
		e, st, _, err := q.look(ctx, at.id)
		if err == nil && (e.User != user || st.Cause != cause) {
			continue
		}
		if err == nil {
			err = f(at.id)
		}
		switch {
		case isGone(err):
		case err != nil:
			return n, err
		default:
			n++
		}
	}
	return n, nil
}
