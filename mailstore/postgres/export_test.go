package postgres

// Freeze ends what a store does in the background, as if its process had stopped: it renews nothing any more.
func Freeze(s *Store) { s.end() }
