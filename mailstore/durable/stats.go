package durable

import (
	"sync/atomic"
	"time"
)

// SyncBounds are the upper bounds of the spans that Stats.Syncs counts by; what took longer than the last has
// a place of its own.
var SyncBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 10 * time.Second,
}

// Stats is what a Disk has done since it was made.
type Stats struct {
	Commits int64 // transactions that are durable
	Failed  int64 // transactions that were begun and are not
	// Syncs is how many syncs took how long, Took all of them together, and Waits how many callers they
	// were for.
	Syncs [len(SyncBounds) + 1]int64
	Took  time.Duration
	Waits int64
}

// Add adds what another one has done.
func (s *Stats) Add(o Stats) {
	s.Commits, s.Failed, s.Took, s.Waits = s.Commits+o.Commits, s.Failed+o.Failed, s.Took+o.Took, s.Waits+o.Waits
	for i, n := range o.Syncs {
		s.Syncs[i] += n
	}
}

// counts are the Stats that are being made.
type counts struct {
	commits, failed, took, waits atomic.Int64
	syncs                        [len(SyncBounds) + 1]atomic.Int64
}

// Stats says what has been done so far. It waits for nobody.
func (d *Disk) Stats() (s Stats) {
	c := &d.counts
	s.Commits, s.Failed, s.Took, s.Waits = c.commits.Load(), c.failed.Load(), time.Duration(c.took.Load()), c.waits.Load()
	for i := range c.syncs {
		s.Syncs[i] = c.syncs[i].Load()
	}
	return s
}

func (c *counts) commit(err error) {
	if err != nil {
		c.failed.Add(1)
		return
	}
	c.commits.Add(1)
}

func (c *counts) sync(took time.Duration, waits int) {
	c.took.Add(int64(took))
	c.waits.Add(int64(waits))
	i := 0
	for i < len(SyncBounds) && took > SyncBounds[i] {
		i++
	}
	c.syncs[i].Add(1)
}
