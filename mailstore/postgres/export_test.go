package postgres

// SawNewer is as if a connection had met a server that has taken the place of those before.
func SawNewer(s *Store) {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	s.seen.timeline++
}

// Freeze ends what a store does in the background, as if its process had stopped: it renews nothing any more.
func Freeze(s *Store) { s.end() }
