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

// destination is what the queue knows of one next hop. It exists while it has
// jobs or something worth remembering.
type destination struct {
	name    string
	lanes   [classes]lane
	running int

	// window is how many attempts may run: it starts low, grows with each
	// success, by one at first and then by one per window of them, and is
	// halved when the other side has had enough.
	window float64
	slow   bool // there was a refusal: no more doubling

	// down until: no attempt is made, all get last as their result.
	down  time.Time
	fails int // unreachable in a row
	last  Result
}

// lane is what of one class waits for a destination.
type lane struct {
	d       *destination
	class   Class
	jobs    []*job
	parked  []*item // entries for which there was no place in jobs
	running int
	queued  bool      // in Queue.ready
	since   time.Time // then
}

// open reports whether the destination takes one more attempt of the class: the
// last place of its window is for ordinary mail.
func (l *lane) open() bool {
	window := int(l.d.window)
	if l.class == Ordinary || window < 2 {
		return l.d.running < window
	}
	return l.d.running < window && l.d.running-l.d.lanes[Ordinary].running < window-1
}

// waits reports whether there is anything to be done for a destination.
func (d *destination) waits() bool {
	for i := range d.lanes {
		if l := &d.lanes[i]; len(l.jobs) > 0 || len(l.parked) > 0 {
			return true
		}
	}
	return d.running > 0
}

// waiting is how many attempts of all classes wait for the destination, and how
// many entries beside them.
func (d *destination) waiting() (jobs, parked int) {
	for i := range d.lanes {
		jobs += len(d.lanes[i].jobs)
		parked += len(d.lanes[i].parked)
	}
	return jobs, parked
}

const (
	firstWindow = 4
	// backlog is how many jobs of one class for one destination are kept in memory, so that
	// one that takes its time does not fill it. What is above waits as an id.
	backlog = 200
	// A destination found unreachable is left alone for a time that doubles
	// with each failure in a row.
	firstDown = time.Minute
	maxDown   = 10 * time.Minute
	// maxDests is how many destinations are remembered before those that are
	// of no use are sorted out.
	maxDests = 10000
)

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
		it.flags |= parked // memory is for others now
		q.overflow[e.Class] = append(q.overflow[e.Class], it)
		return
	}
	a := &active{it: it, e: e, st: st, fresh: it.flags&fresh != 0}
	for i := range st.To {
		a.attempts = append(a.attempts, st.To[i].Attempts)
	}
	it.a = a
	it.flags &^= parked
	q.loaded++
	q.loadedBy[e.Class]++
	now := time.Now()
	all := it.flags&forced != 0
	it.flags &^= forced
	var parkedAt *lane
	for name, to := range q.groups(a, now, all) {
		l := &q.destination(name).lanes[e.Class]
		if len(l.jobs) >= backlog {
			parkedAt = l
			continue
		}
		l.jobs = append(l.jobs, &job{a: a, to: to})
		a.jobs++
		q.offer(l)
	}
	if parkedAt != nil {
		it.flags |= parked
		parkedAt.parked = append(parkedAt.parked, it)
	}
	if a.jobs > 0 {
		return
	}
	if parkedAt != nil {
		q.drop(a)
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
		if r.Expire {
			r.Status, r.Last.Time = Expired, stamp(now)
			if r.Last.Text == "" {
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
	a.it.a = nil
	q.loaded--
	c := a.e.Class
	q.loadedBy[c]--
	if q.loadedBy[c] <= c.most(q.maxLoaded())/2 {
		q.overflow[c] = q.recall(q.overflow[c])
	}
	q.poke()
}

func (q *Queue) destination(name string) *destination {
	d := q.dests[name]
	if d == nil {
		if len(q.dests) >= q.prune {
			q.forgetDestinations()
		}
		d = &destination{name: name, window: min(firstWindow, float64(cmpOr(q.DestinationConcurrency, defaultDestConcurrency)))}
		for c := range d.lanes {
			d.lanes[c] = lane{d: d, class: Class(c)}
		}
		q.dests[name] = d
	}
	return d
}

// forgetDestinations forgets those of which only an old failure is known:
// strangers choose domains that do not answer. q.mu is held.
func (q *Queue) forgetDestinations() {
	now := time.Now()
	for name, d := range q.dests {
		if !d.waits() && now.After(d.down) {
			delete(q.dests, name)
		}
	}
	q.prune = max(maxDests, 2*len(q.dests))
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
		l.parked = q.recall(l.parked)
	}
}

// recall makes the first of some parked entries due, and returns the rest. q.mu
// is held.
func (q *Queue) recall(list []*item) []*item {
	n := min(len(list), backlog/2)
	now := time.Now().UnixNano()
	for _, it := range list[:n] {
		if it.flags&parked == 0 || q.index[it.id] != it {
			continue // loaded or removed meanwhile
		}
		it.flags &^= parked
		it.next = now
		if it.a == nil && it.flags&(held|claimed) == 0 {
			q.wait.put(it)
		}
	}
	if n > 0 {
		q.poke()
	}
	if n == len(list) {
		return nil
	}
	return list[n:]
}

// done takes note of how an attempt went, for the destination. q.mu is held.
func (q *Queue) done(d *destination, j *job, results []Result) {
	d.running--
	d.lanes[j.run.class].running--
	q.jobs--
	q.places.leave(j.run)
	most := float64(cmpOr(q.DestinationConcurrency, defaultDestConcurrency))
	now := time.Now()
	switch v := worst(results); {
	case v == nil || v.Busy: // nothing was tried
	case v.Unreachable:
		q.known.forget(d.name)
		d.slow, d.window = true, max(1, d.window/2)
		if !now.Before(d.down) {
			d.fails++
			d.down = now.Add(min(firstDown<<min(d.fails-1, 10), maxDown))
		}
		d.last = *v
	case v.Status == Pending && v.Code == 421:
		d.slow, d.window = true, max(1, d.window/2)
	case v.Status == Pending:
		d.fails, d.slow, d.window = 0, true, max(1, d.window-1/d.window)
	default:
		d.fails, d.down = 0, time.Time{}
		if d.slow {
			d.window = min(most, d.window+1/d.window)
		} else {
			d.window = min(most, d.window+1)
		}
	}
	if v := worst(results); v != nil && !v.Unreachable && !v.Busy {
		q.known.note(j.run.class, d.name)
	}
	for i := range d.lanes {
		q.offer(&d.lanes[i])
		q.unpark(&d.lanes[i])
	}
	if !d.waits() && d.fails == 0 {
		delete(q.dests, d.name)
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

// more says whether other messages wait for d.
func (q *Queue) more(d *destination) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs, _ := d.waiting()
	return jobs > 0
}

// isDown returns the result all attempts get while d is left alone.
func (q *Queue) isDown(d *destination) (Result, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.fails == 0 || !time.Now().Before(d.down) {
		return Result{}, false
	}
	return d.last, true
}

// detached is ctx for work that has to be completed once it has begun.
func detached(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
