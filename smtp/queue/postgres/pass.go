package postgres

import (
	"context"
)

// passed are entries that this node leaves to others.
type passed struct {
	begins []byte
	but    [][]byte
}

// Pass has Claim pass over entries on top of whose message stands what begins so, but for those that begin with one of but: this node could do nothing with
// them. It may be called at any time, and counts from then on.
func (s *Spool) Pass(begins []byte, but ...[]byte) {
	if but == nil {
		but = [][]byte{} // null would be no list
	}
	s.passed.Store(&passed{begins, but})
}

// Passed counts the entries that are due and are passed over.
func (s *Spool) Passed(ctx context.Context) (n int, err error) {
	p := s.passed.Load()
	if p == nil {
		return 0, nil
	}
	err = s.reading(ctx, func(ctx context.Context) error {
		return s.db.Pool.QueryRow(ctx, s.db.In(`select count(*) from $.queue where not corrupt and substr(top, 1, length($1::bytea)) = $1
			and not exists (select from unnest($2::bytea[]) b where substr(top, 1, length(b)) = b)`), p.begins, p.but).Scan(&n)
	})
	return n, failed("count queue", err)
}
