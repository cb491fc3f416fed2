package queue

import (
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// What a sender asks of the time that a message takes (RFC 2852, RFC 6710).

// returnsAt is when an entry goes back that is not delivered by then; ok is false
// where the sender set no such time.
func (e *Entry) returnsAt() (t time.Time, ok bool) {
	if by := e.Params.By; by != nil && by.Return {
		return by.By, true
	}
	return t, false
}

// overdue reports whether the entry goes back now.
func (e *Entry) overdue(now time.Time) bool {
	t, ok := e.returnsAt()
	return ok && !now.Before(t)
}

// next is when recipient r may be tried again, as Schedule.Next has it, and no later
// than the entry is to go back.
func (q *Queue) next(e *Entry, r Recipient, attempts int, now time.Time, chance float64) (next time.Time, giveUp bool) {
	next, giveUp = q.schedule(r).Next(attempts, e.since(), now, chance)
	if t, ok := e.returnsAt(); ok && t.Before(next) {
		next = t
	}
	return next, giveUp || e.overdue(now)
}

// givesUpAt is when recipient r is not tried any more.
func (q *Queue) givesUpAt(e *Entry, r Recipient) time.Time {
	end := e.since().Add(q.schedule(r).withDefaults().GiveUp)
	if t, ok := e.returnsAt(); ok && t.Before(end) {
		return t
	}
	return end
}

// warnsAt is when the sender is to hear that mail to r is delayed: by the schedule,
// and where the sender set a time to be told at (mode N), then.
func (q *Queue) warnsAt(e *Entry, r Recipient) (at time.Time, ok bool) {
	if !r.Params.Notify.Wants(smtp.NotifyDelay) {
		return at, false
	}
	at, ok = q.schedule(r).WarnAt(e.since())
	if by := e.Params.By; by != nil && !by.Return && (!ok || by.By.Before(at)) {
		return by.By, true
	}
	return at, ok
}

// add puts a job in line: behind those of its priority, before those of a lower one.
func (l *lane) add(j *job) {
	i := len(l.jobs)
	for i > 0 && l.jobs[i-1].a.e.Params.Priority < j.a.e.Params.Priority {
		i--
	}
	l.jobs = append(l.jobs, nil)
	copy(l.jobs[i+1:], l.jobs[i:])
	l.jobs[i] = j
}
