package accounts

import (
	"net/netip"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// LastLogin is when and from where an account was logged in to last, as far as it is remembered.
type LastLogin struct {
	At   time.Time
	From netip.Prefix
}

// LastLogins are those of these accounts; who has not logged in for as long as homes are remembered is not among them.
func (c *Credentials) LastLogins(of ...domains.Address) map[domains.Address]LastLogin {
	last := make(map[domains.Address]LastLogin, len(of))
	for _, account := range of {
		last[account] = LastLogin{}
	}
	t, now := c.throttle, time.Now()
	t.mu.Lock()
	for l, h := range t.known {
		if is, asked := last[l.account]; asked && t.isKnown(l, now) && h.last.After(is.At) {
			last[l.account] = LastLogin{h.last, l.block}
		}
	}
	t.mu.Unlock()
	for account, l := range last {
		if l.At.IsZero() {
			delete(last, account)
		}
	}
	return last
}
