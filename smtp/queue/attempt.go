package queue

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// makeAttempt makes one attempt: write it down, make it, take note of the results.
// ctx ends with the queue; own also where the attempt is to give way.
func (q *Queue) makeAttempt(ctx, own context.Context, d *destination, j *job) {
	var results []Result
	last, down := q.isDown(d)
	if q.record(ctx, d, j, down) {
		if down {
			results = q.refuse(j, last)
		} else {
			results = q.deliver(own, d, j)
		}
	}
	q.attempted(q.noteResults(ctx, d, j, results))

	q.mu.Lock()
	if down {
		results = nil // no news
	}
	q.done(d, j, results)
	j.a.jobs--
	left := j.a.jobs
	q.mu.Unlock()
	if left == 0 {
		q.finish(ctx, j.a)
	}
}

// record writes the attempt down before it is made, with the time of the next
// one, so that a crash in the middle costs that wait and not a storm. Where
// nothing is going to be sent there is nothing to protect, and one write,
// after it, is enough. It returns false where the attempt must not be made.
func (q *Queue) record(ctx context.Context, d *destination, j *job, down bool) bool {
	a := j.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.st.Held || ctx.Err() != nil || q.isRemoved(a.it) || q.moved(d, j) {
		return false
	}
	now := time.Now()
	written := true
	for _, i := range j.to {
		r := &a.st.To[i]
		if a.first(r) && r.Next.After(now) {
			continue
		}
		written = false
		if !a.first(r) {
			r.Attempts++
		}
		r.Next, _ = q.next(a.e, a.e.To[i], r.Attempts, now, chance())
		r.Next = stamp(r.Next)
	}
	if down || written {
		return true
	}
	if err := q.save(ctx, a); isGone(err) && q.share() != nil {
		q.log().Warn("queue entry is another server's by now", "queue", a.e.ID)
		return false
	} else if err != nil {
		q.log().Error("attempt cannot be written down and is not made", "queue", a.e.ID, "err", err)
		for _, i := range j.to {
			a.st.To[i].Attempts--
			a.st.To[i].Next = stamp(now.Add(time.Minute))
		}
		return false
	}
	return true
}

// moved: since the job got in line, an operator has chosen another way. The
// recipients are due, and get in line there. a.mu is held.
func (q *Queue) moved(d *destination, j *job) bool {
	for _, i := range j.to {
		if q.Transport.Destination(j.a.e.To[i], j.a.st.Route) != d.name {
			return true
		}
	}
	return false
}

// stamp is a time as it is kept: without the monotonic clock, in UTC.
func stamp(t time.Time) time.Time { return t.Round(0).UTC() }

func (q *Queue) deliver(ctx context.Context, d *destination, j *job) []Result {
	a := j.a
	dl := &Delivery{
		Entry: a.e, Destination: d.name, Since: a.e.since(),
		To: make([]Recipient, len(j.to)),
		Open: func() (io.ReadCloser, error) {
			if q.isRemoved(a.it) {
				return nil, ErrNotFound
			}
			return q.Spool.Open(ctx, a.e.ID)
		},
		More: func() bool { return q.more(d) }, Waits: func(yes bool) { q.waits(j.run, yes) },
	}
	a.mu.Lock()
	dl.Route = a.st.Route
	for n, i := range j.to {
		dl.To[n] = a.e.To[i]
		dl.Attempt = max(dl.Attempt, a.st.To[i].Attempts)
	}
	a.mu.Unlock()
	results := q.Transport.Deliver(ctx, dl)
	for len(results) < len(j.to) {
		results = append(results, Result{Status: Pending, Text: "no result from the transport"})
	}
	now := stamp(time.Now())
	gaveWay := context.Cause(ctx) == ErrGaveWay
	for i := range results {
		r := &results[i]
		r.Time = now
		if gaveWay && r.Status == Pending && r.Code == 0 {
			r.Unreachable, r.Busy = true, false
			r.Text = fmt.Sprintf("given up after %v, as other mail waited: %s", time.Since(j.run.began).Round(time.Second), r.Text)
		}
	}
	return results[:len(j.to)]
}

// refuse answers for a destination that was found unreachable a moment ago.
func (q *Queue) refuse(j *job, last Result) []Result {
	last.Status = Pending
	last.Text = "not tried: " + strings.TrimPrefix(last.Text, "not tried: ")
	last.Time = stamp(time.Now())
	results := make([]Result, len(j.to))
	for i := range results {
		results[i] = last
	}
	return results
}

// noteResults takes the results over into the state in memory. finish, or the save
// here where other attempts for the entry still run, puts them on disk. It returns what
// there is to tell.
func (q *Queue) noteResults(ctx context.Context, d *destination, j *job, results []Result) (told []*Attempt) {
	if results == nil {
		return nil
	}
	a := j.a
	a.mu.Lock()
	defer a.mu.Unlock()
	cut := ctx.Err() != nil // our own end, not the other side's doing
	statuses := make([]Status, len(results))
	for n, i := range j.to {
		r, res := &a.st.To[i], &results[n]
		switch res.Status {
		case Delivered, Failed:
			r.Status = res.Status
		default:
			res.Status = Pending
			q.later(a, i, cut, res.Busy)
		}
		r.Last = *res
		statuses[n] = r.Status
		told = append(told, &Attempt{Entry: a.e, To: a.e.To[i], Destination: d.name, Result: *res, Status: r.Status,
			Number: r.Attempts, Delay: time.Since(a.e.since())})
	}
	a.dirty = true
	q.tally(a, results, statuses)
	if q.othersRun(a) && !q.isRemoved(a.it) {
		if err := q.save(ctx, a); err != nil {
			q.log().Error("results cannot be written down now", "queue", a.e.ID, "err", err)
		}
	}
	return told
}

// busyWait is, at least, when one is tried again that was not tried because too
// many attempts were under way at the same address. It is at most twice that.
const busyWait = 30 * time.Second

// later decides about a recipient for whom the attempt failed for now.
func (q *Queue) later(a *active, i int, cut, busy bool) {
	r := &a.st.To[i]
	now := time.Now()
	if cut {
		r.Attempts--
		r.Next = stamp(now)
		return
	}
	if busy {
		r.Attempts--
		r.Next = stamp(now.Add(busyWait + time.Duration(chance()*float64(busyWait))))
	}
	if _, over := q.next(a.e, a.e.To[i], max(r.Attempts, 1), now, 0); over || r.Expire {
		r.Status = Expired
	}
}

func (q *Queue) othersRun(a *active) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return a.jobs > 1
}
