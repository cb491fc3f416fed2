package queue

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// Who gets the next place. What a stranger chooses (names, addresses, how long
// a host says nothing) must not decide it:
//
//   - Each class has its share (Class.reserve, Class.most), and freed places go to
//     the classes in turn.
//   - Destinations that are not known to answer get no more than three quarters of
//     all places, and what one user sends there gets no more of them than it leaves
//     free, or eight: who comes first with a thousand of them takes half, and the next
//     one half of what is left.
//   - Attempts that have heard of nobody for a while give way as soon as others of
//     their class wait for a place.

const (
	// patience is how long an attempt may go on without having heard of anybody,
	// while others wait for its place. It doubles with each attempt of the
	// message, so that a host that is slow to greet gets its mail in the end.
	patience    = 30 * time.Second
	maxPatience = 8 * time.Minute
	// fewUnknown places at unknown destinations one user may have in any case,
	// if it leaves one.
	fewUnknown = 8
	// starving is how long a destination's turn may fail to come before the
	// operator is told.
	starving = time.Minute
)

// ErrGaveWay is the cause (context.Cause) for which an attempt ends that has not
// reached anybody (Delivery.Reached), because other mail waits for its place.
var ErrGaveWay = errors.New("queue: gave way to other mail")

// run is an attempt that holds a place.
type run struct {
	class   Class
	user    string // of those who hold places at unknown destinations
	unknown bool   // the destination was not known to answer
	began   time.Time
	until   time.Time // from then on it gives way, while it waits
	waits   bool      // nothing has been heard of the other side
	cancel  context.CancelCauseFunc
}

// places is the share of each, and who holds what. Queue.mu guards it.
type places struct {
	running [classes]int
	unknown int            // attempts at destinations not known to answer
	byUser  map[string]int // of them
	runs    map[*run]bool
	turn    Class // who is asked first for the next place

	warned  [classes]bool
	starved [classes]int64 // how often a class began to starve
	gaveWay [classes]int64
}

func (p *places) take(r *run) {
	if p.runs == nil {
		p.runs, p.byUser = make(map[*run]bool), make(map[string]int)
	}
	p.runs[r] = true
	p.running[r.class]++
	if r.unknown {
		p.unknown++
		p.byUser[r.user]++
	}
	p.turn = (r.class + 1) % classes
}

func (p *places) leave(r *run) {
	delete(p.runs, r)
	p.running[r.class]--
	if !r.unknown {
		return
	}
	p.unknown--
	if p.byUser[r.user]--; p.byUser[r.user] == 0 {
		delete(p.byUser, r.user)
	}
}

// admits reports whether a class may take one more of most places.
func (p *places) admits(c Class, most int) bool {
	kept, all := 0, 0
	for other := range Class(classes) {
		all += p.running[other]
		if other != c {
			kept += max(0, other.reserve(most)-p.running[other])
		}
	}
	return all < most && p.running[c] < c.most(most) && (all+kept < most || p.running[c] < c.reserve(most))
}

// admitsUnknown reports whether an attempt of user at a destination not known to
// answer may take one more of most places.
func (p *places) admitsUnknown(user string, most int) bool {
	all := most - most/4
	free := all - p.unknown
	return free > 0 && p.byUser[user] < max(free, min(fewUnknown, all-1))
}

// user names those who share places at unknown destinations: of ordinary mail the
// user, else the class.
func (j *job) user() string {
	if e := j.a.e; e.Class == Ordinary {
		return "user " + e.User
	}
	return j.a.e.Class.String()
}

// dispatch starts what may run, one attempt per destination in turn. q.mu is
// held.
func (q *Queue) dispatch() {
	most := q.config().concurrency()
	for q.state == running {
		l := q.nextLane(most)
		if l == nil {
			break
		}
		q.launch(l)
	}
	if q.contended() {
		q.poke() // to make room, or to tell of it, when it is time
	}
}

// nextLane takes the next lane out of line that may run, or returns nil.
func (q *Queue) nextLane(most int) *lane {
	for i := range Class(classes) {
		c := (q.places.turn + i) % classes
		if !q.places.admits(c, most) {
			continue
		}
		line := &q.ready[c]
		for range *line {
			l := (*line)[0]
			*line = (*line)[1:]
			switch {
			case len(l.jobs) == 0 || !l.open():
				l.queued = false
			case q.mayTake(l, most):
				l.queued = false
				return l
			default:
				*line = append(*line, l)
			}
		}
	}
	return nil
}

// mayTake reports whether a destination may have one more place. One known to be
// in trouble gets none of the second half.
func (q *Queue) mayTake(l *lane, most int) bool {
	if l.d.fails > 0 && q.jobs >= max(1, most/2) {
		return false
	}
	return q.known.has(l.d.name) || q.places.admitsUnknown(l.jobs[0].user(), most)
}

// launch makes the first attempt of a lane. q.mu is held.
func (q *Queue) launch(l *lane) {
	d, j := l.d, l.jobs[0]
	l.jobs[0] = nil
	l.jobs = l.jobs[1:]
	now := time.Now()
	ctx, cancel := context.WithCancelCause(q.ctx)
	j.run = &run{class: l.class, user: j.user(), unknown: !q.known.has(d.name), began: now, until: now.Add(j.patience()), cancel: cancel}
	q.places.take(j.run)
	d.running++
	l.running++
	q.jobs++
	q.offer(l)
	q.unpark(l)
	all := q.ctx
	q.group.Go(func() {
		defer cancel(nil)
		q.makeAttempt(all, ctx, d, j)
	})
}

// patience is how long the attempt may hear of nobody while others wait.
func (j *job) patience() time.Duration {
	attempts := 1
	for _, i := range j.to {
		attempts = max(attempts, j.a.attempts[i])
	}
	return min(patience<<min(attempts-1, 10), maxPatience)
}

// contended reports whether anything waits for a place. q.mu is held.
func (q *Queue) contended() bool {
	return slices.ContainsFunc(q.ready[:], func(line []*lane) bool { return len(line) > 0 })
}

// relieve makes room where mail waits for a place: of each class, attempts that
// have heard of nobody and have had their time give way. Where a class has no
// place at all, those of others do. It returns when to look again.
func (q *Queue) relieve() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	again := time.Minute
	if !q.contended() {
		q.places.warned = [classes]bool{}
		return again
	}
	now := time.Now()
	var mute []*run // the one that has waited longest comes first
	for r := range q.places.runs {
		if r.waits {
			mute = append(mute, r)
		}
	}
	slices.SortFunc(mute, func(a, b *run) int { return cmp.Compare(a.until.UnixNano(), b.until.UnixNano()) })
	for c := range Class(classes) {
		q.warn(c, now)
		wanted := len(q.ready[c])
		for _, own := range []bool{true, false} {
			if !own && q.places.running[c] > 0 {
				break
			}
			for _, r := range mute {
				if wanted == 0 || !r.waits || (r.class == c) != own {
					continue
				}
				if wait := r.until.Sub(now); wait > 0 {
					again = min(again, wait)
					break
				}
				r.waits = false // once is enough
				q.places.gaveWay[r.class]++
				r.cancel(ErrGaveWay)
				wanted--
			}
		}
	}
	return again
}

// warn tells once that attempts of a class have waited too long for a place.
// q.mu is held.
func (q *Queue) warn(c Class, now time.Time) {
	since := now
	for _, l := range q.ready[c] {
		if l.since.Before(since) {
			since = l.since
		}
	}
	starved := now.Sub(since) >= starving
	if starved && !q.places.warned[c] {
		q.places.starved[c]++
		q.log().Warn("mail waits for a place in the queue", "class", c, "destinations", len(q.ready[c]), "for", now.Sub(since).Round(time.Second),
			"running", q.places.running[c], "of", q.jobs, "unknown", q.places.unknown)
	}
	q.places.warned[c] = starved
}

// waits takes note of whether an attempt has heard of anybody.
func (q *Queue) waits(r *run, yes bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r.waits = yes
	if yes && q.contended() {
		q.poke() // there is one more that may have to give way
	}
}
