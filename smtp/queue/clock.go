package queue

import "time"

// Times that outlive the process, and all that entries wait for, are those of
// the wall clock, which somebody may set. How long a destination is left alone,
// and every time-out, goes by the monotonic one.
//
// A clock set forward makes entries due early; concurrency bounds what comes of
// it. One set back would let them wait for as long again as it was wrong by: in
// memory their times move with it, and of those on disk none is believed that
// is further away than any wait can be.

// tooFar: no schedule puts a retry off until next. It was written down while
// the clock was ahead, or it is the NotBefore of an entry.
func (q *Queue) tooFar(next int64, now time.Time) bool {
	return next != never && next > now.Add(q.config().longest).UnixNano()
}

// watchClock notices that the wall clock was set back since it was called last.
func (q *Queue) watchClock(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := q.clock
	q.clock = now
	if last.IsZero() {
		return
	}
	if back := setBack(last, now); back > time.Minute {
		q.log().Warn("the clock was set back; what waits moves with it", "by", back)
		q.rewind(back)
	}
}

// setBack is by how much the wall clock has run behind the monotonic one.
func setBack(last, now time.Time) time.Duration {
	return now.Sub(last) - now.Round(0).Sub(last.Round(0))
}

// rewind moves everything that waits. The states on disk say otherwise, so
// that entries become due whatever theirs says; NotBefore is the sender's
// and stays what it is. q.mu is held.
func (q *Queue) rewind(by time.Duration) {
	for _, it := range q.wait { // all by the same: the heap stays one
		it.next -= int64(by)
		it.wishes |= forced
	}
}
