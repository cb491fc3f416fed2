package mailstore

import "fmt"

// Quota bounds what a mailbox or a domain may hold. Zero means no bound.
type Quota struct {
	Octets   int64 // in CRLF octets
	Messages int64
}

// Refuse is nil if one more message of size octets fits beside what is there, and says
// otherwise what does not: an error that is ErrOverQuota, and ErrNeverFits where no room
// could be enough.
func (q Quota) Refuse(u Usage, size int64) error {
	switch {
	case q.Octets > 0 && size > q.Octets:
		return fmt.Errorf("%w: %d octets, the quota is %d", ErrNeverFits, size, q.Octets)
	case q.Messages > 0 && u.Messages+1 > q.Messages:
		return fmt.Errorf("%w: %d messages, the quota is %d", ErrOverQuota, u.Messages, q.Messages)
	case q.Octets > 0 && u.Octets+size > q.Octets:
		return fmt.Errorf("%w: %d octets and %d more, the quota is %d", ErrOverQuota, u.Octets, size, q.Octets)
	}
	return nil
}
