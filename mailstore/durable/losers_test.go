package durable

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLosers: who gives way is who the rule names, over any holds.
func TestLosers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 3000 {
		s := NewSpace(nil)
		var all []*Hold
		for range random.IntN(30) {
			h := &Hold{s: s, granted: 1 + random.Int64N(1<<40), kept: random.IntN(8) == 0} // no two alike
			h.written = h.granted - random.Int64N(h.granted)
			if random.IntN(2) == 0 {
				h.announced = h.granted
			}
			if n := random.IntN(6); n > 0 {
				h.stranger = fmt.Sprint(n)
			}
			s.holds[h] = struct{}{}
			all = append(all, h)
		}
		asks := &Hold{s: s, granted: 1 + random.Int64N(1<<40)}
		if n := random.IntN(7); n > 0 {
			asks.stranger = fmt.Sprint(n)
		}
		if random.IntN(2) == 0 {
			s.holds[asks] = struct{}{}
		}
		short := 1 + random.Int64N(1<<43)
		got, want := s.losers(asks, short, (*Hold).size), s.naiveLosers(asks, short, (*Hold).size)
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: of %d holds %d give way, not %d", round, len(all), len(got), len(want))
		}
		// One file is like another: so many of the same addresses give way.
		short = 1 + random.Int64N(30)
		got, want = s.losers(asks, short, (*Hold).one), s.naiveLosers(asks, short, (*Hold).one)
		if len(got) != len(want) {
			t.Fatalf("round %d: %d files, not %d", round, len(got), len(want))
		}
	}
}

// BenchmarkLosers: a thousand of ten thousand give way.
func BenchmarkLosers(b *testing.B) {
	s := NewSpace(nil)
	for i := range 10000 {
		s.holds[&Hold{s: s, granted: int64(1000 + i), stranger: fmt.Sprint(i % 3000)}] = struct{}{}
	}
	for b.Loop() {
		s.losers(&Hold{}, 1000*6000, (*Hold).size)
	}
}

// naiveLosers are losers as the rule says it: they are those who give way when h needs so much more, nil if that is not
// enough. s.mu must be held.
func (s *Space) naiveLosers(h *Hold, short int64, weigh func(*Hold) int64) (losers []*Hold) {
	held := make(map[string]int64) // by address
	var all []*Hold
	for o := range s.holds {
		if o.stranger != "" && !o.kept {
			held[o.stranger] += weigh(o)
			all = append(all, o)
		}
	}
	own := held[h.stranger] // for somebody known: 0
	for short > 0 {
		best := -1
		for i, o := range all {
			if o == nil || o == h || h.stranger != "" && (o.stranger == h.stranger || held[o.stranger] <= own) {
				continue
			}
			if best < 0 || before(o, all[best], held, weigh) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		o := all[best]
		all[best] = nil
		losers = append(losers, o)
		held[o.stranger] -= weigh(o)
		short -= weigh(o)
	}
	return losers
}

// before reports whether a gives way before b.
func before(a, b *Hold, held map[string]int64, weigh func(*Hold) int64) bool {
	switch {
	case a.nearly() != b.nearly():
		return b.nearly()
	case held[a.stranger] != held[b.stranger]:
		return held[a.stranger] > held[b.stranger]
	}
	return weigh(a) > weigh(b)
}
