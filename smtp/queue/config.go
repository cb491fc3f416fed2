package queue

import (
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Config is how a Queue goes about its work: what an operator may want to change
// while it runs.
type Config struct {
	// Hostname is our own name, in notifications.
	Hostname string

	// Schedule is when to try again. Schedules overrides it by the recipient's
	// domain.
	Schedule  Schedule
	Schedules domains.Map[Schedule]

	// Concurrency bounds attempts running at once: in all, 200 where zero,
	// and for one destination, 20 where zero. Each Class has its share of it.
	Concurrency            int
	DestinationConcurrency int

	// MaxEntries and MaxOctets bound what is accepted into the queue; beyond
	// them Room and Begin return ErrFull. No bound where zero. The queue's own
	// notifications are not refused.
	MaxEntries int
	MaxOctets  int64

	longest time.Duration // longestWait, once in use
}

const (
	defaultConcurrency     = 200
	defaultDestConcurrency = 20
)

func (c *Config) concurrency() int { return cmpOr(c.Concurrency, defaultConcurrency) }

func (c *Config) destinationConcurrency() int {
	return cmpOr(c.DestinationConcurrency, defaultDestConcurrency)
}

// schedule is that of mail to a domain.
func (c *Config) schedule(domain domains.Name) Schedule {
	if s, ok := c.Schedules.Get(domain); ok {
		return s
	}
	return c.Schedule
}

// longestWait is more than any wait between two attempts; see tooFar.
func (c *Config) longestWait() time.Duration {
	d := c.Schedule.longest()
	for s := range c.Schedules.All() {
		d = max(d, s.longest())
	}
	return d
}

// config is the Config of the moment.
func (q *Queue) config() *Config {
	if c := q.newer.Load(); c != nil {
		return c
	}
	return &q.Config
}

// Reconfigure puts another Config in the place of the one there was, at once and for
// all that the queue does from now on. An entry that waits keeps the time that was
// written down for its next attempt; attempts that run are not interrupted, though
// there may be more of them than the new bounds allow. It may be called concurrently
// with everything else, and the Schedules given must not change any more.
func (q *Queue) Reconfigure(c Config) {
	q.start()
	c.longest = c.longestWait()
	q.newer.Store(&c)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dests.narrow(q.perDestination())
	q.offerAll()
	for class, list := range q.overflow {
		q.overflow[class] = q.recall(list)
	}
	q.dispatch()
	q.poke()
}

// offerAll puts every lane in line that may have more attempts than before.
func (q *Queue) offerAll() {
	for _, d := range q.dests.by {
		for i := range d.lanes {
			q.offer(&d.lanes[i])
		}
	}
}
