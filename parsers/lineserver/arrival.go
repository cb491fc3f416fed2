package lineserver

import (
	"net/netip"
	"slices"
	"time"
)

// arrival is a leaky bucket.
type arrival struct {
	level float64
	at    time.Time
}

// maxArrivals bounds the table of those who came lately.
const maxArrivals = 1 << 16

// timely reports whether somebody from there does not come too often, and notes
// that they came. The pool's lock is held.
func (g *Group) timely(from netip.Addr, now time.Time) bool {
	if g.PerMinute <= 0 || !from.IsValid() || g.isFree(from) {
		return true
	}
	place := block(from)
	a := g.arrivals[place].drained(g.PerMinute, now)
	if a.level+1 > max(1, float64(g.PerMinute)/2) {
		return false
	}
	if g.arrivals == nil {
		g.arrivals = make(map[netip.Prefix]arrival)
	}
	if len(g.arrivals) >= maxArrivals {
		g.prune(now)
	}
	a.level++
	g.arrivals[place] = a
	return true
}

func (a arrival) drained(perMinute int, now time.Time) arrival {
	if !a.at.IsZero() {
		a.level = max(0, a.level-now.Sub(a.at).Minutes()*float64(perMinute))
	}
	a.at = now
	return a
}

// prune drops who would be welcome again as if they had never come; then, if
// there are too many still, whoever comes first.
func (g *Group) prune(now time.Time) {
	for place, a := range g.arrivals {
		if a.drained(g.PerMinute, now).level == 0 {
			delete(g.arrivals, place)
		}
	}
	for place := range g.arrivals {
		if len(g.arrivals) < maxArrivals*15/16 {
			return
		}
		delete(g.arrivals, place)
	}
}

// isFree: a program of this host is no stranger.
func (g *Group) isFree(from netip.Addr) bool {
	return from.IsLoopback() || slices.ContainsFunc(g.Free, func(p netip.Prefix) bool { return p.Contains(from) })
}
