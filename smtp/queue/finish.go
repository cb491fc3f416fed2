package queue

import (
	"context"
	"errors"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// finish ends the work on an entry when its last attempt of this round is over:
// the sender is told what he has to know, and what is left goes on disk, or
// the entry away.
func (q *Queue) finish(ctx context.Context, a *active) {
	ctx = detached(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	gone, err := q.close(ctx, a)
	if isGone(err) { // another has it by now, or it was removed
		gone, err = true, nil
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case gone:
		q.drop(a)
		q.forget(a.it)
	case err != nil:
		// What was learnt is in memory only, and must not be forgotten: the
		// entry stays there, and the writing is tried again.
		q.log().Error("queue entry cannot be brought up to date", "queue", a.e.ID, "err", err)
		q.postpone(a.it)
	default:
		q.drop(a)
		q.follow(a.it, a.e, a.st)
		if it := a.it; !a.unstarted() {
			it.fresh = false
		} else if !a.st.Held {
			it.next = it.queued
		}
		if a.spill > 0 && !a.st.Held {
			q.letGoFor(a.it, a.spill)
		} else {
			q.file(a.it)
		}
	}
	q.dispatch()
}

// close reports, and saves or removes. gone: there is no such entry any more.
func (q *Queue) close(ctx context.Context, a *active) (gone bool, err error) {
	if q.isRemoved(a.it) {
		return true, nil
	}
	if err := q.report(ctx, a); err != nil {
		return false, err
	}
	if !a.st.Settled() {
		if a.dirty {
			err = q.save(ctx, a)
		}
		return isGone(err), err
	}
	if err := q.Spool.Remove(ctx, a.e.ID); err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	return true, nil
}

// follow files an entry under the time at which something is to be done for it:
// an attempt, or to tell the sender that it is delayed. A warning whose time has
// passed goes out with the next attempt, so that one that could not be sent is
// not tried without end. q.mu is held.
func (q *Queue) follow(it *item, e *Entry, st *State) {
	it.follow(st)
	now := time.Now()
	for i := range st.To {
		if at, ok := q.warnAt(e, st, i); ok && at.After(now) {
			it.sooner(at)
		}
	}
}

// warnAt is when the sender is to be told that recipient i is delayed.
func (q *Queue) warnAt(e *Entry, st *State, i int) (at time.Time, ok bool) {
	r := &st.To[i]
	if r.Status != Pending || r.Warned || e.From.IsNull() {
		return at, false
	}
	return q.warnsAt(e, e.To[i])
}

func (q *Queue) isRemoved(it *item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return it.wishes&removed != 0
}

// save puts the state in memory on disk. It is ErrNotFound once the entry has been
// removed, also if another one has its id by now. a.mu is held.
func (q *Queue) save(ctx context.Context, a *active) error {
	if q.isRemoved(a.it) {
		return ErrNotFound
	}
	err := q.Spool.Save(detached(ctx), a.e.ID, a.st)
	a.dirty = err != nil
	return err
}

// news sorts what a sender may want to hear.
type news struct {
	failed, delayed, succeeded []int // indexes into Entry.To
}

// report tells the sender what there is to tell, and marks it told. Results are
// on disk before anything is said about them, so that a crash can repeat a
// notification and not lose one. a.mu is held.
func (q *Queue) report(ctx context.Context, a *active) error {
	n := q.collect(a)
	if len(n.failed)+len(n.delayed)+len(n.succeeded) == 0 {
		return nil
	}
	if a.dirty || q.share() != nil { // which proves that the entry is still ours
		if err := q.save(ctx, a); err != nil {
			return err
		}
	}
	for _, kind := range []struct {
		kind Kind
		to   []int
	}{{Bounce, n.failed}, {Delay, n.delayed}, {Success, n.succeeded}} {
		if len(kind.to) == 0 {
			continue
		}
		notified := q.notify(ctx, a, kind.kind, kind.to)
		for _, i := range kind.to {
			r := &a.st.To[i]
			switch {
			case notified && kind.kind == Delay:
				r.Warned = true
			case notified:
				r.Reported = true
			case kind.kind != Delay:
				r.Next = stamp(time.Now().Add(DefaultFirst))
			}
		}
		a.dirty = true
	}
	return nil
}

// collect finds what is to be told, and marks what need not be.
func (q *Queue) collect(a *active) news {
	var n news
	now := time.Now()
	for i := range a.st.To {
		r, rcpt := &a.st.To[i], a.e.To[i]
		switch {
		case r.Reported:
		case r.Status == Pending:
			if at, ok := q.warnAt(a.e, a.st, i); ok && (r.Attempts > 0 || !r.Last.Time.IsZero()) && !now.Before(at) {
				n.delayed = append(n.delayed, i)
			}
		case r.Status == Delivered && rcpt.Params.Notify.Wants(smtp.NotifySuccess) && !r.Last.Relayed && !a.e.From.IsNull() && a.e.proven():
			n.succeeded = append(n.succeeded, i)
		case r.Status != Delivered && rcpt.Params.Notify.Wants(smtp.NotifyFailure):
			n.failed = append(n.failed, i)
		default:
			r.Reported = true
			a.dirty = true
		}
	}
	return n
}

// notify hands one notification on. For an entry with the null sender there is
// nobody to be told but the postmaster (RFC 5321 §4.5.5: never a bounce for a
// bounce).
func (q *Queue) notify(ctx context.Context, a *active, kind Kind, to []int) bool {
	m, err := q.compose(ctx, a, kind, to)
	if err == nil {
		switch {
		case a.e.From.IsNull():
			m.Undeliverable = true
			q.countNotice("undeliverable")
			q.log().Warn("undeliverable notification", "queue", a.e.ID, "to", a.e.To[to[0]].Path.String())
			if q.Undeliverable != nil {
				err = q.Undeliverable(ctx, m)
			}
		case q.Notify != nil:
			err = q.Notify(ctx, m)
		default:
			err = q.SubmitNotification(ctx, m)
		}
	}
	if errors.Is(err, ErrWait) {
		return false // who says so has told of it
	}
	if err != nil {
		q.log().Error("notification cannot be sent now", "queue", a.e.ID, "kind", kind, "err", err)
		return false
	}
	q.notified(ctx, m)
	return true
}
