package postgres

import (
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// SawNewer is as if a connection had met a server that has taken the place of those before.
func SawNewer(s *Store) {
	_, timeline := s.db.Server()
	s.db.Saw(timeline + 1)
}

// Freeze ends what a store does in the background, as if its process had stopped: it renews nothing any more.
func Freeze(s *Store) { s.end() }

// Renewal is one that has begun: which leases are held is known, and nothing is written yet.
func Renewal(s *Store) (write func() error) {
	locks := s.held.list()
	return func() error { return s.extend(locks) }
}

// HeardLongAgo is as if the database had last been told of a message on its way so long ago that it is time to do so again.
func HeardLongAgo(d mailstore.Delivery) { d.(*delivery).out.renewed = time.Time{} }
