package postgres

import (
	"slices"
	"sync"
	"time"
)

// newer are entries that a newer version has written, of which this one does not know what they want. While servers are upgraded one by one
// they are left to those that are, and the first is told of.
type newer struct {
	mu  sync.Mutex
	ids []string
}

// mostNewer bounds how many are passed over by name when something is claimed. What there is beyond is claimed and given back.
const mostNewer = 1000

// all are the ids that are passed over.
func (n *newer) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.ids...)
}

// leave takes note of such an entry, and returns for how long it is to be given back: others look once a second.
func (s *Spool) leave(id string, why error) time.Duration {
	s.newer.mu.Lock()
	defer s.newer.mu.Unlock()
	if len(s.newer.ids) == 0 {
		s.log.Warn("a newer version has written queue entries that this server cannot read: it leaves them to others", "queue", id, "err", why)
	}
	switch {
	case slices.Contains(s.newer.ids, id):
	case len(s.newer.ids) < mostNewer:
		s.newer.ids = append(s.newer.ids, id)
	default:
		return time.Minute
	}
	return 0
}
