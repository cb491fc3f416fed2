package queue

import "time"

// Schedule says when to try again and when to give up. It is a pure function
// of its arguments; the zero value is the default of every field.
type Schedule struct {
	// First is the wait after the first attempt that failed; each later one
	// is twice as long, up to Max. 5 minutes and 70 minutes where zero.
	First, Max time.Duration
	// GiveUp is the age of an entry after which a recipient is not tried
	// again. 5 days where zero.
	GiveUp time.Duration
	// Warn is the age after which the sender is told that mail is delayed,
	// once. 4 hours where zero, never where negative.
	Warn time.Duration
	// Jitter is the part of a wait that is left to chance, 0 to 1, so that
	// what failed together does not come back together. A tenth where zero,
	// none where negative.
	Jitter float64
}

// The defaults of Schedule.
const (
	DefaultFirst  = 5 * time.Minute
	DefaultMax    = 70 * time.Minute
	DefaultGiveUp = 5 * 24 * time.Hour
	DefaultWarn   = 4 * time.Hour
	DefaultJitter = 0.1
)

// shortest is the least wait between two attempts, whatever is configured: a
// mistake in a configuration must not become a storm.
const shortest = time.Second

// Next returns when a recipient may be tried again if attempt number attempts
// (1 for the first), which begins at now, fails. queued is when the entry came;
// chance is at least 0 and less than 1, and moves the result within the
// jitter. giveUp is true where there will be no such time: the entry is, or
// would by then be, older than GiveUp. The last attempt is made at the moment
// of giving up, not one wait before it.
func (s Schedule) Next(attempts int, queued, now time.Time, chance float64) (next time.Time, giveUp bool) {
	s = s.withDefaults()
	end := queued.Add(s.GiveUp)
	if !now.Before(end) {
		return now, true
	}
	next = now.Add(s.wait(attempts, chance))
	if next.After(end) {
		next = end
	}
	if least := now.Add(shortest); next.Before(least) {
		next = least
	}
	return next, false
}

// wait is First doubled attempts-1 times, at most Max, then moved by up to
// half the jitter to either side.
func (s Schedule) wait(attempts int, chance float64) time.Duration {
	d := s.First
	for i := 1; i < attempts && d < s.Max; i++ {
		d *= 2
	}
	d = min(d, s.Max)
	chance = min(max(chance, 0), 1)
	return max(d+time.Duration(float64(d)*s.Jitter*(chance-0.5)), shortest)
}

// longest is more than any wait between two attempts.
func (s Schedule) longest() time.Duration {
	s = s.withDefaults()
	return s.Max + time.Duration(float64(s.Max)*s.Jitter) + time.Minute
}

// WarnAt is when the sender is to be told of a delay; ok is false for never.
func (s Schedule) WarnAt(queued time.Time) (t time.Time, ok bool) {
	s = s.withDefaults()
	if s.Warn < 0 || s.Warn >= s.GiveUp {
		return time.Time{}, false
	}
	return queued.Add(s.Warn), true
}

func (s Schedule) withDefaults() Schedule {
	if s.First <= 0 {
		s.First = DefaultFirst
	}
	if s.Max <= 0 {
		s.Max = DefaultMax
	}
	s.Max = min(s.Max, 100*24*time.Hour)
	s.First = min(s.First, s.Max)
	if s.GiveUp <= 0 {
		s.GiveUp = DefaultGiveUp
	}
	s.GiveUp = min(s.GiveUp, 1000*24*time.Hour)
	if s.Warn == 0 {
		s.Warn = DefaultWarn
	}
	switch {
	case s.Jitter == 0:
		s.Jitter = DefaultJitter
	case !(s.Jitter > 0):
		s.Jitter = 0
	}
	s.Jitter = min(s.Jitter, 1)
	return s
}
