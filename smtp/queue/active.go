package queue

import (
	"context"
	"errors"
	"sync"
	"time"
)

// active is an entry in memory, being delivered.
type active struct {
	it *item
	e  *Entry

	mu sync.Mutex // guards st, and the order in which it is saved
	st *State
	// dirty: st is not what is on disk.
	dirty bool
	// fresh: for recipients without a result the first attempt was written
	// down with the entry, and is to be made now.
	fresh bool

	// spill, where the spool is shared and there was no place for some recipients, is for how long the entry is then given back.
	spill time.Duration

	jobs int // unfinished; guarded by Queue.mu
	// attempts are those made when the entry was loaded, by recipient.
	attempts []int
}

// job is one attempt to be made: recipients of one entry with one destination.
type job struct {
	a   *active
	to  []int // indexes into Entry.To
	run *run  // while it holds a place
}

// first: the first attempt for r is written down, and not made yet.
func (a *active) first(r *RcptState) bool {
	return a.fresh && r.Attempts == 1 && r.Last.Time.IsZero()
}

// unstarted: for some recipient the first attempt is still to be made.
func (a *active) unstarted() bool {
	for i := range a.st.To {
		if r := &a.st.To[i]; r.Status == Pending && a.first(r) {
			return true
		}
	}
	return false
}

func isGone(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) }

// take makes jobs of what is due in an entry. q.mu is held.
func (q *Queue) take(it *item, e *Entry, st *State) {
	if q.loadedBy[e.Class] >= e.Class.most(q.maxLoaded()) {
		it.state, it.listed = itemParked, true // memory is for others now
		if q.share() != nil {
			it.listed = false
			q.letGoFor(it, spillFirst)
			return
		}
		q.overflow[e.Class] = append(q.overflow[e.Class], it)
		return
	}
	a := &active{it: it, e: e, st: st, fresh: it.fresh}
	for i := range st.To {
		a.attempts = append(a.attempts, st.To[i].Attempts)
	}
	it.a, it.state, it.listed = a, itemLoaded, false
	q.loaded++
	q.loadedBy[e.Class]++
	now := time.Now()
	all := it.wishes&forced != 0
	a.dirty = it.wishes&obeyed != 0
	it.wishes &^= forced | obeyed
	var parkedAt *lane
	for name, to := range q.groups(a, now, all) {
		l := &q.dests.of(name, q.perDestination()).lanes[e.Class]
		if len(l.jobs) >= backlog || e.Params.Priority <= 0 && l.before(it) {
			parkedAt = l
			continue
		}
		l.add(&job{a: a, to: to})
		a.jobs++
		q.offer(l)
	}
	if parkedAt != nil {
		if q.share() != nil {
			a.spill = parkedAt.spill()
		} else {
			it.listed = true
			parkedAt.parked = append(parkedAt.parked, it)
			q.unpark(parkedAt) // should it wait for its turn alone, and nobody else come to tell of it
		}
	}
	if a.jobs > 0 {
		return
	}
	if a.spill > 0 && !a.dirty {
		q.drop(a)
		q.letGoFor(it, a.spill)
		return
	}
	if parkedAt != nil && a.spill == 0 {
		q.drop(a)
		q.file(it)
		return
	}
	q.resume(it) // to be reported or removed, or not due after all
}

// groups sorts the recipients that are due by destination. Entries with one
// recipient are the rule.
func (q *Queue) groups(a *active, now time.Time, all bool) map[string][]int {
	out := make(map[string][]int, 1)
	for i := range a.st.To {
		r := &a.st.To[i]
		due := a.first(r) || !r.Next.After(now) || all && !a.e.Params.HoldUntil.After(now)
		if r.Status != Pending || a.st.Held || !due {
			continue
		}
		if late := a.e.overdue(now); r.Expire || late {
			r.Status, r.Last.Time = Expired, stamp(now)
			switch {
			case r.Last.Text != "":
			case late:
				r.Last.Text = "not delivered by the time that the sender set"
			default:
				r.Last.Text = "given up by the operator"
			}
			q.count.expired++
			a.dirty = true
			continue
		}
		name := q.Transport.Destination(a.e.To[i], a.st.Route)
		out[name] = append(out[name], i)
	}
	return out
}

// resume ends the work on an entry of which no job is left: it may have been
// interrupted before. q.mu is held.
func (q *Queue) resume(it *item) {
	a := it.a
	q.group.Add(1)
	ctx := q.ctx
	go func() {
		defer q.group.Done()
		q.finish(ctx, a)
	}()
}

// drop lets go of an entry in memory. q.mu is held.
func (q *Queue) drop(a *active) {
	a.it.a, a.it.state = nil, itemWaiting
	q.loaded--
	c := a.e.Class
	q.loadedBy[c]--
	if q.loadedBy[c] <= c.most(q.maxLoaded())/2 {
		q.overflow[c] = q.recall(q.overflow[c])
	}
	q.poke()
}

// offer puts a lane in line if it has work and its destination has room. q.mu is
// held.
func (q *Queue) offer(l *lane) {
	if !l.queued && len(l.jobs) > 0 && l.open() {
		l.queued, l.since = true, time.Now()
		q.ready[l.class] = append(q.ready[l.class], l)
	}
}

// unpark makes waiting entries due as soon as there is place for their jobs.
func (q *Queue) unpark(l *lane) {
	if len(l.jobs) <= backlog/2 {
		l.spilled = 0
		l.parked = q.recall(l.parked)
	}
}

// file puts an item that nobody works on any more where it belongs. q.mu is held.
func (q *Queue) file(it *item) {
	switch {
	case q.share() != nil:
		q.letGo(it)
		return
	case it.state == itemHeld:
		q.wait.take(it)
	case it.listed:
		it.state = itemParked
		q.wait.take(it)
	default:
		it.state = itemWaiting
		q.wait.put(it)
	}
	q.tellClaimants()
	q.poke()
}

// recall makes the first of some parked entries due, and returns the rest. They keep the times
// for which they were due before, so that what has become due since stays behind them. q.mu is
// held.
func (q *Queue) recall(list []*item) []*item {
	now := time.Now().UnixNano()
	for n := 0; len(list) > 0 && n < backlog/2; list = list[1:] {
		it := list[0]
		if !it.parked() {
			continue // loaded or removed meanwhile
		}
		n++
		it.listed, it.next = false, min(it.next, now)
		if it.state == itemParked {
			q.file(it)
		}
		q.poke()
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// done takes note of how an attempt went, for the destination. q.mu is held.
func (q *Queue) done(d *destination, j *job, results []Result) {
	d.running--
	d.lanes[j.run.class].running--
	q.jobs--
	q.places.leave(j.run)
	if v := worst(results); v != nil && !v.Busy { // else nothing was tried
		d.learn(v, float64(q.perDestination()), time.Now())
		if v.Unreachable {
			q.known.forget(d.name)
		} else {
			q.known.note(j.run.class, d.name)
		}
	}
	for i := range d.lanes {
		q.offer(&d.lanes[i])
		q.unpark(&d.lanes[i])
	}
	if !d.waits() && d.fails == 0 {
		q.dests.forget(d)
	}
	q.dispatch()
}

// worst is the result that says most about the destination.
func worst(results []Result) *Result {
	var w *Result
	for i := range results {
		r := &results[i]
		if w == nil || r.Unreachable || r.Status == Pending && w.Status != Pending && !w.Unreachable {
			w = r
		}
	}
	return w
}

// more reports whether other messages wait for d.
func (q *Queue) more(d *destination) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs, _ := d.waiting()
	return jobs > 0
}

// isDown is destination.isDown of this moment.
func (q *Queue) isDown(d *destination) (Result, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return d.isDown(time.Now())
}

// detached is ctx for work that has to be completed once it has begun.
func detached(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
