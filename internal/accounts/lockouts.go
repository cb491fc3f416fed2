package accounts

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// Lockout is a place or an account from or at which no more guesses are taken
// for a while. Whoever has logged in to an account before, from where he is, is
// let in all the same.
type Lockout struct {
	Address string          `json:"address,omitempty"` // of clients: a network
	Account domains.Address `json:"account,omitempty"` // with Address: that account from its owner's own place
	Until   time.Time       `json:"until"`
}

// mostLockouts is how many lock-outs are written down at a time, and listed.
// Strangers who use each address once can bring about any number.
const mostLockouts = 1000

// attrs is what the log says of a lock-out.
func (l Lockout) attrs() []any {
	var attrs []any
	if l.Address != "" {
		attrs = append(attrs, "address", l.Address)
	}
	if l.Account != "" {
		attrs = append(attrs, "user", l.Account)
	}
	return attrs
}

// until is when a full bucket takes one more, if nothing happens until then.
func (b bucket) until(r rate, now time.Time) time.Time {
	over := b.now(r, now) - float64(r.failures-1)
	return now.Add(time.Duration(over * float64(max(1, r.forgets))))
}

// overfull is full without what is under way.
func (b bucket) overfull(r rate, now time.Time) bool {
	b.pending = 0
	return b.full(r, now)
}

// whyRefused is what keeps a guess from being checked.
func (t *throttle) whyRefused(l login, now time.Time) (found []Lockout) {
	if t.isKnown(l, now) {
		if b := t.known[l].bucket; b.overfull(t.perBlock, now) {
			found = append(found, Lockout{l.block.String(), l.account, b.until(t.perBlock, now)})
		}
		return found
	}
	if b := t.blocks[l.block]; b.overfull(t.perBlock, now) {
		found = append(found, Lockout{l.block.String(), "", b.until(t.perBlock, now)})
	}
	if b := t.accounts[l.account]; b.overfull(t.perAccount, now) {
		found = append(found, Lockout{"", l.account, b.until(t.perAccount, now)})
	}
	return found
}

// refused writes down a lock-out that has just begun. t.mu is held.
func (t *throttle) refused(l login, now time.Time) {
	t.turned++
	for _, k := range t.whyRefused(l, now) {
		key := Lockout{Address: k.Address, Account: k.Account}
		if t.told[key] || len(t.told) >= mostLockouts {
			continue
		}
		t.told[key] = true
		t.log.Warn("too many failed logins: no more are checked", append(key.attrs(), "until", k.Until)...)
		time.AfterFunc(k.Until.Sub(now), func() { t.ended(key, l) })
	}
}

// ended writes down that a lock-out is over, or waits on if it is not.
func (t *throttle) ended(key Lockout, l login) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.told[key] {
		return // lifted
	}
	for _, k := range t.whyRefused(l, now) {
		if k.Address == key.Address && k.Account == key.Account {
			time.AfterFunc(max(time.Second, k.Until.Sub(now)), func() { t.ended(key, l) })
			return
		}
	}
	delete(t.told, key)
	t.log.LogAttrs(context.Background(), slog.LevelInfo, "logins are checked again", slog.Group("", key.attrs()...))
}

// lockouts lists what is full now, up to mostLockouts, those that end last
// first.
func (t *throttle) lockouts() []Lockout {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []Lockout
	add := func(b bucket, r rate, address string, account domains.Address) {
		if b.overfull(r, now) {
			found = append(found, Lockout{address, account, b.until(r, now)})
		}
	}
	for block, b := range t.blocks {
		add(b, t.perBlock, block.String(), "")
	}
	for account, b := range t.accounts {
		add(b, t.perAccount, "", account)
	}
	for l, h := range t.known {
		add(h.bucket, t.perBlock, l.block.String(), l.account)
	}
	slices.SortFunc(found, func(a, b Lockout) int {
		return cmp.Or(b.Until.Compare(a.Until), strings.Compare(a.Address, b.Address), cmp.Compare(a.Account, b.Account))
	})
	return found[:min(len(found), mostLockouts)]
}

// lift forgets the failures that match, and reports whether there were any.
func (t *throttle) lift(matches func(block netip.Prefix, account domains.Address) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	lifted := false
	for block := range t.blocks {
		if matches(block, "") {
			delete(t.blocks, block)
			t.tellLifted(failedFrom, block.String(), t.perBlock)
			lifted = true
		}
	}
	for account := range t.accounts {
		if matches(netip.Prefix{}, account) {
			delete(t.accounts, account)
			t.tellLifted(failedAt, account.String(), t.perAccount)
			lifted = true
		}
	}
	for l, h := range t.known {
		if h.level > 0 && (matches(l.block, "") || matches(netip.Prefix{}, l.account)) {
			h.level = 0
			t.known[l] = h
			t.tellLifted(failedAtHome, l.String(), t.perBlock)
			lifted = true
		}
	}
	for key := range t.told {
		block, _ := netip.ParsePrefix(key.Address)
		if key.Address != "" && matches(block, "") || key.Account != "" && matches(netip.Prefix{}, key.Account) {
			delete(t.told, key)
		}
	}
	return lifted
}

// Lockouts lists who is locked out now, those for longest first; a thousand at
// most.
func (c *Credentials) Lockouts() []Lockout { return c.throttle.lockouts() }

// Unlock forgets the failed logins at an account, or from an IP address (for
// IPv6, from its /64), and reports whether there were any.
func (c *Credentials) Unlock(who string) bool {
	if ip, err := netip.ParseAddr(strings.Trim(who, "[]")); err == nil {
		ip = ip.Unmap()
		tokens := tokenKey(lineserver.Block(&net.TCPAddr{IP: ip.AsSlice()}))
		return c.lifted(who, func(block netip.Prefix, account domains.Address) bool { return block.Contains(ip) || account == tokens })
	}
	if block, err := netip.ParsePrefix(who); err == nil {
		return c.lifted(who, func(b netip.Prefix, account domains.Address) bool {
			return b == block.Masked() || account == tokenKey(block.Masked())
		})
	}
	name, _ := c.dir.Login(who)
	admin := adminKey(strings.TrimPrefix(who, adminKey("").String())) // as the list of lock-outs has it, too
	return c.lifted(who, func(_ netip.Prefix, account domains.Address) bool {
		return account == name || account == admin || who != "" && account == domains.Address(who) // as it has tokens
	})
}

func (c *Credentials) lifted(who string, matches func(netip.Prefix, domains.Address) bool) bool {
	ok := c.throttle.lift(matches)
	if ok {
		c.log.Info("failed logins were forgotten by command", "whose", who)
	}
	return ok
}

// Throttled is how many logins were not checked since the start, as there were too many that failed.
func (c *Credentials) Throttled() int64 {
	c.throttle.mu.Lock()
	defer c.throttle.mu.Unlock()
	return c.throttle.turned
}
