package spool

// Small makes Open make two shards, so that thousands of copies of the spool are
// made quickly.
func Small() Option { return func(s *Spool) { s.shards = 2 } }
