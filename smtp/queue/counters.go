package queue

import (
	"context"
	"slices"
	"time"
)

// Counters is what a Queue has counted since it was made, and what it holds.
type Counters struct {
	Entries      int       `json:"entries"` // in the queue now
	Octets       int64     `json:"octets"`
	Active       int       `json:"active"` // of them, attempts running
	Held         int       `json:"held"`
	Oldest       time.Time `json:"oldest"` // when the oldest of them came; zero if there is none
	Destinations int       `json:"destinations"`
	Down         int       `json:"down"` // destinations found unreachable
	// Corrupt is how many entries the Spool has put aside, if it counts them
	// with a method Corrupt() (int, error). They are not among Entries.
	Corrupt int `json:"corrupt"`

	Accepted int64 `json:"accepted"` // entries
	// Recipients, by the result of an attempt.
	Delivered int64 `json:"delivered"`
	Deferred  int64 `json:"deferred"`
	Failed    int64 `json:"failed"`
	Expired   int64 `json:"expired"`
	// Notices counts notifications by kind; "undeliverable" are those that
	// concern an entry with the null sender.
	Notices map[Kind]int64 `json:"notices"`
	// Dropped counts notifications that were one too many for a sender who is not
	// proven.
	Dropped int64 `json:"dropped"`
	// Classes is how the places are shared.
	Classes map[Class]ClassCounters `json:"classes"`
	// Delay is a histogram of the time from Queued to Delivered: Delay[i]
	// recipients took at most DelayBounds[i], the last longer than all.
	Delay       []int64         `json:"delay"`
	DelayBounds []time.Duration `json:"delay_bounds"`
	// DelaySum is the sum of those times.
	DelaySum time.Duration `json:"delay_sum"`
}

// ClassCounters is what a class holds, and has had to wait for.
type ClassCounters struct {
	Entries int `json:"entries"` // in memory, to be attempted
	Running int `json:"running"` // attempts
	Waiting int `json:"waiting"` // destinations whose turn has not come
	// Starving: one of them has waited for more than a minute.
	Starving bool `json:"starving"`
	// Starved counts how often some of them waited for more than a minute,
	// and GaveWay the attempts that heard of nobody and were cut off for others.
	Starved int64 `json:"starved"`
	GaveWay int64 `json:"gave_way"`
}

var delayBounds = []time.Duration{
	100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute, 10 * time.Minute,
	time.Hour, 4 * time.Hour, 24 * time.Hour, 5 * 24 * time.Hour,
}

type counters struct {
	accepted, delivered, deferred, failed, expired int64

	notices  map[Kind]int64
	delay    []int64
	delaySum time.Duration
}

// Counters returns the counters. It visits every entry in memory; asking once
// a second is no burden.
func (q *Queue) Counters() Counters {
	q.start()
	corrupt := 0
	if s, ok := find[interface{ Corrupt() (int, error) }](q.Spool); ok {
		corrupt, _ = s.Corrupt() // as far as could be counted
	}
	all, shared := Count{}, q.share()
	if shared != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		all, _ = shared.Count(ctx) // as far as could be counted
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	c := Counters{
		Corrupt: corrupt,
		Entries: len(q.index), Octets: q.octets, Active: q.jobs, Destinations: len(q.dests.by), Down: q.dests.unreachable(),
		Accepted: q.count.accepted, Delivered: q.count.delivered, Deferred: q.count.deferred,
		Failed: q.count.failed, Expired: q.count.expired,
		Notices: make(map[Kind]int64), Delay: slices.Clone(q.count.delay),
		DelayBounds: slices.Clone(delayBounds), DelaySum: q.count.delaySum,
	}
	c.Dropped, c.Classes = q.trickle.dropped, make(map[Class]ClassCounters, classes)
	for i := range Class(classes) {
		p := &q.places
		c.Classes[i] = ClassCounters{q.loadedBy[i], p.running[i], len(q.ready[i]), p.warned[i], p.starved[i], p.gaveWay[i]}
	}
	for k, n := range q.count.notices {
		c.Notices[k] = n
	}
	if shared != nil {
		c.Entries, c.Octets, c.Held, c.Oldest = all.Entries, all.Octets, all.Held, all.Oldest
		return c
	}
	oldest := int64(never)
	for _, it := range q.index {
		oldest = min(oldest, it.queued)
		if it.state == itemHeld {
			c.Held++
		}
	}
	if oldest != never {
		c.Oldest = time.Unix(0, oldest).UTC()
	}
	return c
}

// tally counts the results of one attempt. a.mu is held.
func (q *Queue) tally(a *active, results []Result, statuses []Status) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, s := range statuses {
		switch s {
		case Delivered:
			q.count.delivered++
			took := results[i].Time.Sub(a.e.since())
			at, found := slices.BinarySearch(delayBounds, took)
			_ = found // equal counts as at most
			q.count.delay[at]++
			q.count.delaySum += took
		case Failed:
			q.count.failed++
		case Expired:
			q.count.expired++
		default:
			q.count.deferred++
		}
	}
}

func (q *Queue) countNotice(k Kind) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count.notices == nil {
		q.count.notices = make(map[Kind]int64)
	}
	q.count.notices[k]++
}
