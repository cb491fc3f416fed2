package queue

import (
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// The pace at which notifications go out to senders nobody has proven. Whoever
// forges a sender has us write to somebody who asked for nothing; a trickle
// is what an honest sender of mail that fails needs, and what nobody can make a
// flood of. See docs/limits.md.
var paces = [...]struct {
	most  float64       // at once
	every time.Duration // one more
}{
	{3, time.Hour},          // to one address
	{20, 3 * time.Minute},   // to one domain
	{200, 10 * time.Second}, // in all
}

// maxBuckets bounds the addresses and domains that are remembered. As the pace of
// all is bounded, there are never so many that have not recovered.
const maxBuckets = 10000

// What goes out in all is counted apart for bounces and for reports: any domain may ask for reports,
// and a bounce that is one too many is lost.
const (
	allBounces = ""
	allReports = " reports" // no address is written so
)

// trickle counts notifications to unproven senders. Queue.mu guards it.
type trickle struct {
	buckets  map[string]bucket // by address, "@domain", and all of a kind
	dirty    bool
	dropped  int64
	logged   time.Time // when the log was
	unlogged int64
}

// bucket is what was left at a time.
type bucket struct {
	Left float64   `json:"left"`
	At   time.Time `json:"at"`
}

// admits reports whether one more of a kind may go to address now, and counts it.
func (t *trickle) admits(to smtp.Path, all string, now time.Time) bool {
	local, domain := to.Address().Cut()
	names := [...]string{smtp.Path{Local: local, Domain: domain.String()}.String(), "@" + domain.String(), all}
	if len(t.buckets) >= maxBuckets {
		t.prune(now)
	}
	var left [len(names)]float64
	for i, name := range names {
		left[i] = t.left(name, i, now)
		if left[i] < 1 || len(t.buckets) >= maxBuckets {
			return false
		}
	}
	if t.buckets == nil {
		t.buckets = make(map[string]bucket)
	}
	for i, name := range names {
		t.buckets[name] = bucket{left[i] - 1, stamp(now)}
	}
	t.dirty = true
	return true
}

// left is how many may go now to name, which is of pace i. A clock that was set
// back gives nothing and takes nothing; from then on it counts.
func (t *trickle) left(name string, i int, now time.Time) float64 {
	b, ok := t.buckets[name]
	if !ok {
		return paces[i].most
	}
	if b.At.After(now) {
		b.At = stamp(now)
		t.buckets[name], t.dirty = b, true
	}
	return min(paces[i].most, b.Left+max(0, now.Sub(b.At).Seconds()/paces[i].every.Seconds()))
}

// prune forgets those that have recovered.
func (t *trickle) prune(now time.Time) {
	for name, b := range t.buckets {
		longest := time.Duration(paces[0].most) * paces[0].every // of all paces
		if now.Sub(b.At) >= longest {
			delete(t.buckets, name)
		}
	}
}

// dropNotice reports whether a notification is one too many for a sender who is
// not proven. It is counted, and logged once a minute.
func (q *Queue) dropNotice(n *Notification) bool {
	if n.Proven {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t, now := &q.trickle, time.Now()
	if t.admits(n.To, allBounces, now) {
		return false
	}
	t.dropped++
	t.unlogged++
	if now.Sub(t.logged) >= time.Minute {
		q.log().Warn("notifications to unproven senders are dropped: too many", "number", t.unlogged, "last_to", n.To.String(), "kind", n.Kind)
		t.logged, t.unlogged = now, 0
	}
	return true
}

// MayNotify reports whether one more report that nobody here has asked for may go to an
// address whose owner is not proven, and counts it. Bounces have a pace of their own, but for each
// address and domain.
func (q *Queue) MayNotify(address smtp.Path) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.trickle.admits(address, allReports, time.Now())
}
