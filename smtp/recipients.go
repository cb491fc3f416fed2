package smtp

import "sync/atomic"

// fewRecipients are as many as a server must take in one transaction (RFC 5321
// §4.5.3.1.8), however many all sessions hold together.
const fewRecipients = 100

// recipientCount counts the recipients beyond the first hundred of each transaction: a
// stranger who names a thousand on each of a thousand connections, and waits,
// must not fill the memory.
type recipientCount struct {
	most  int64 // negative: no bound
	count *atomic.Int64
}

// admits reports whether a transaction with n recipients may have one more.
func (c recipientCount) admits(n int) bool {
	return n < fewRecipients || c.most < 0 || c.count.Load() < c.most
}

// join counts the n-th recipient of a transaction, and leave all of them.
func (c recipientCount) join(s *session, n int) {
	if n > fewRecipients {
		c.count.Add(1)
		s.counted++
	}
}

func (c recipientCount) leave(s *session) {
	c.count.Add(-s.counted)
	s.counted = 0
}
