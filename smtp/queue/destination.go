package queue

import "time"

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

// destinations are those of which there is anything to remember, by name. Queue.mu
// guards them.
type destinations struct {
	by    map[string]*destination
	prune int // when there are so many, useless ones are sorted out
}

// of is the destination of a name, made where there is none, to which most attempts
// may run.
func (ds *destinations) of(name string, most int) *destination {
	d := ds.by[name]
	if d == nil {
		if len(ds.by) >= max(ds.prune, maxDests) {
			ds.sortOut(time.Now())
		}
		d = &destination{name: name, window: min(firstWindow, float64(most))}
		for c := range d.lanes {
			d.lanes[c] = lane{d: d, class: Class(c)}
		}
		if ds.by == nil {
			ds.by = make(map[string]*destination)
		}
		ds.by[name] = d
	}
	return d
}

// sortOut forgets those of which only an old failure is known: strangers choose
// domains that do not answer.
func (ds *destinations) sortOut(now time.Time) {
	for _, d := range ds.by {
		if !d.waits() && now.After(d.down) {
			ds.forget(d)
		}
	}
	ds.prune = max(maxDests, 2*len(ds.by))
}

func (ds *destinations) forget(d *destination) { delete(ds.by, d.name) }

// forgive has those of a domain, or all, tried again although they were found
// unreachable.
func (ds *destinations) forgive(domain string) {
	for name, d := range ds.by {
		if domain == "" || name == domain {
			d.down = time.Time{}
		}
	}
}

// narrow obeys a new bound of attempts to one destination. They grow by themselves.
func (ds *destinations) narrow(most int) {
	for _, d := range ds.by {
		d.window = min(d.window, float64(most))
	}
}

// unreachable is how many were found so when they were tried last.
func (ds *destinations) unreachable() (n int) {
	for _, d := range ds.by {
		if d.fails > 0 {
			n++
		}
	}
	return n
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
	spilled int     // entries given back for want of a place since there was one
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

// before reports whether the lane has parked what was due before an entry, which then waits behind it
// though there may be a place by now.
func (l *lane) before(it *item) bool {
	for len(l.parked) > 0 && !l.parked[0].parked() {
		l.parked = l.parked[1:]
	}
	return len(l.parked) > 0 && l.parked[0].next < it.next
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

// isDown returns the result that all attempts get while d is left alone.
func (d *destination) isDown(now time.Time) (Result, bool) {
	if d.fails == 0 || !now.Before(d.down) {
		return Result{}, false
	}
	return d.last, true
}

// learn takes note of what an attempt says of the destination, to which most
// attempts may run.
func (d *destination) learn(v *Result, most float64, now time.Time) {
	switch {
	case v.Unreachable:
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
			d.window += 1 / d.window
		} else {
			d.window++
		}
	}
	d.window = min(d.window, most)
}
