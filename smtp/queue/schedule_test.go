package queue

import (
	"math"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

func TestSchedule(t *testing.T) {
	const day = 24 * time.Hour
	none := Schedule{Jitter: -1}
	for _, c := range []struct {
		s        Schedule
		attempts int
		age      time.Duration
		chance   float64
		wait     time.Duration
		giveUp   bool
	}{
		{none, 1, 0, 0, 5 * time.Minute, false},
		{none, 2, 5 * time.Minute, 0, 10 * time.Minute, false},
		{none, 3, 15 * time.Minute, 0, 20 * time.Minute, false},
		{none, 4, 35 * time.Minute, 0, 40 * time.Minute, false},
		{none, 5, 75 * time.Minute, 0, 70 * time.Minute, false},
		{none, 100, 4 * day, 0, 70 * time.Minute, false},
		{none, 100, 5*day - time.Hour, 0, time.Hour, false}, // the last attempt at the very end
		{none, 100, 5 * day, 0, 0, true},
		{none, 100, 50 * day, 0, 0, true},
		{none, 0, 0, 0, 5 * time.Minute, false},
		{none, -7, 0, 0, 5 * time.Minute, false},
		{none, math.MaxInt, 0, 0, 70 * time.Minute, false},
		{none, 1, -time.Hour, 0, 5 * time.Minute, false}, // the clock was set back
		{Schedule{}, 1, 0, 0, 4*time.Minute + 45*time.Second, false},
		{Schedule{}, 1, 0, 0.5, 5 * time.Minute, false},
		{Schedule{}, 1, 0, 0.999999999, 5*time.Minute + 15*time.Second, false},
		{Schedule{First: time.Minute, Max: 3 * time.Minute, GiveUp: time.Hour, Jitter: -1}, 3, 0, 0, 3 * time.Minute, false},
		{Schedule{First: time.Hour, Max: time.Minute, Jitter: -1}, 1, 0, 0, time.Minute, false},
		{Schedule{First: 1, Max: 1, Jitter: -1}, 1, 0, 0, time.Second, false}, // no storm
		{Schedule{Jitter: 1}, 1, 0, 0, 150 * time.Second, false},
		{Schedule{Jitter: 99}, 1, 0, 0, 150 * time.Second, false},
		{Schedule{Jitter: math.NaN()}, 1, 0, 0, 5 * time.Minute, false},
	} {
		queued := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		now := queued.Add(c.age)
		next, giveUp := c.s.Next(c.attempts, queued, now, c.chance)
		if got := next.Sub(now).Round(time.Millisecond); got != c.wait || giveUp != c.giveUp {
			t.Errorf("%+v attempt %d at %v, chance %v: %v %v, want %v %v", c.s, c.attempts, c.age, c.chance, got, giveUp, c.wait, c.giveUp)
		}
	}
}

func TestWarnAt(t *testing.T) {
	queued := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		s    Schedule
		want time.Duration
		ok   bool
	}{
		{Schedule{}, 4 * time.Hour, true},
		{Schedule{Warn: time.Hour}, time.Hour, true},
		{Schedule{Warn: -1}, 0, false},
		{Schedule{GiveUp: time.Hour}, 0, false}, // the bounce comes first
	} {
		if at, ok := c.s.WarnAt(queued); ok != c.ok || ok && at.Sub(queued) != c.want {
			t.Errorf("%+v: %v %v", c.s, at.Sub(queued), ok)
		}
	}
}

// FuzzSchedule: whatever is configured, times never move backwards, two
// attempts are never less than a second apart, and giving up is always reached.
func FuzzSchedule(f *testing.F) {
	f.Add(int64(0), int64(0), int64(0), 0.0, 0.5)
	f.Add(int64(time.Nanosecond), int64(time.Nanosecond), int64(time.Minute), 1.0, 0.0)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), math.Inf(1), 0.99)
	f.Add(int64(math.MinInt64), int64(-1), int64(math.MinInt64), math.NaN(), -1.0)
	f.Fuzz(func(t *testing.T, first, most, giveUp int64, jitter, chance float64) {
		s := Schedule{First: time.Duration(first), Max: time.Duration(most), GiveUp: time.Duration(giveUp), Jitter: jitter}
		queued := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		now := queued
		end := queued.Add(s.withDefaults().GiveUp)
		for n := 1; ; n++ {
			next, over := s.Next(n, queued, now, chance)
			if over {
				if now.Before(end) {
					t.Fatalf("gives up at %v, before %v", now, end)
				}
				return
			}
			if !next.After(now) || next.Sub(now) < time.Second {
				t.Fatalf("attempt %d: from %v to %v", n, now, next)
			}
			if next.After(end.Add(time.Second)) {
				t.Fatalf("attempt %d at %v, after %v", n, next, end)
			}
			now = next
			if n == 2000 { // a long way at short steps: jump near the end
				now = end.Add(-time.Minute)
				if now.Before(next) {
					now = next
				}
			}
			if n > 2200 {
				t.Fatalf("never gives up: %+v", s)
			}
		}
	})
}

// TestSchedules: of several names that fit a domain, the most particular counts.
func TestSchedules(t *testing.T) {
	q := &Queue{Config: Config{Schedule: Schedule{First: 1}, Schedules: domains.NewMap(map[string]Schedule{
		"example.org": {First: 2}, ".example.org": {First: 3}, ".a.example.org": {First: 4}, ".org": {First: 5}, "net": {First: 6},
	})}}
	for domain, want := range map[string]time.Duration{
		"example.org": 2, "EXAMPLE.org.": 2, "b.example.org": 3, "a.example.org": 3, "x.a.example.org": 4, "y.x.a.example.org": 4,
		"other.org": 5, "notexample.org": 5, "org": 1, "net": 6, "x.net": 1, "[192.0.2.1]": 1,
	} {
		if got := q.schedule(Recipient{Path: address("bob@" + domain)}).First; got != want {
			t.Errorf("%s: %d, want %d", domain, got, want)
		}
	}
	q.Schedules.Set("*", Schedule{First: 7})
	if got := q.schedule(Recipient{Path: address("bob@x.net")}).First; got != 7 {
		t.Errorf("all others: %d", got)
	}
}
