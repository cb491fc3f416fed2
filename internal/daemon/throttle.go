package daemon

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// remembersLogin is how long an address counts as the account owner's.
	remembersLogin = 30 * 24 * time.Hour
	// throttleEntries bounds each table, so that guesses from very many
	// addresses cost bounded memory.
	throttleEntries = 1 << 16
)

// throttle counts failed logins over all listeners and protocols, per address
// and per account. A botnet that uses each address once so still meets a
// bound, while the owner, whose address has logged in before, is never locked
// out by strangers guessing at their account.
type throttle struct {
	mu sync.Mutex

	perBlock, perAccount rate

	blocks   map[netip.Prefix]bucket
	accounts map[string]bucket
	known    map[login]time.Time // last success
}

type login struct {
	block   netip.Prefix
	account string
}

// rate is how many failures are forgiven at once, and how long one counts
// before another one is.
type rate struct {
	failures int
	forgets  time.Duration
}

// over spreads failures evenly over a window. Zero failures mean no bound.
func over(failures int, window time.Duration) rate {
	return rate{failures, window / time.Duration(max(1, failures))}
}

// bucket is a leaky bucket: its level falls by one every rate.forgets.
type bucket struct {
	level float64
	at    time.Time
}

func (b bucket) now(r rate, now time.Time) float64 {
	return max(0, b.level-float64(now.Sub(b.at))/float64(max(1, r.forgets)))
}

// full says whether one more failure would be too many.
func (b bucket) full(r rate, now time.Time) bool {
	return r.failures > 0 && b.now(r, now) > float64(r.failures-1)
}

func newThrottle(perBlock, perAccount rate) *throttle {
	return &throttle{
		perBlock: perBlock, perAccount: perAccount,
		blocks:   make(map[netip.Prefix]bucket),
		accounts: make(map[string]bucket),
		known:    make(map[login]time.Time),
	}
}

// setRates changes the rates; what was counted stays.
func (t *throttle) setRates(perBlock, perAccount rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.perBlock, t.perAccount = perBlock, perAccount
}

// allows says whether a guess at account from block should be checked at all.
func (t *throttle) allows(block netip.Prefix, account string) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blocks[block].full(t.perBlock, now) {
		return false
	}
	if t.isKnown(block, account, now) {
		return true
	}
	return !t.accounts[account].full(t.perAccount, now)
}

// knows says whether the account has been logged in to from block before.
func (t *throttle) knows(block netip.Prefix, account string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isKnown(block, account, time.Now())
}

func (t *throttle) isKnown(block netip.Prefix, account string, now time.Time) bool {
	last, ok := t.known[login{block, account}]
	return ok && now.Sub(last) < remembersLogin
}

// failed counts a wrong guess. It is called for accounts that do not exist,
// too: the throttle must not tell them apart.
func (t *throttle) failed(block netip.Prefix, account string) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	add(t.blocks, block, t.perBlock, now)
	add(t.accounts, account, t.perAccount, now)
}

// succeeded forgives the address its typing errors and remembers that it
// belongs to the account's owner.
func (t *throttle) succeeded(block netip.Prefix, account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.blocks, block)
	if len(t.known) >= throttleEntries {
		evict(t.known)
	}
	t.known[login{block, account}] = time.Now()
}

func add[K comparable](m map[K]bucket, k K, r rate, now time.Time) {
	if _, ok := m[k]; !ok && len(m) >= throttleEntries {
		prune(m, r, now)
	}
	m[k] = bucket{m[k].now(r, now) + 1, now}
}

// prune drops what has been forgotten, and at least something.
func prune[K comparable](m map[K]bucket, r rate, now time.Time) {
	for k, b := range m {
		if b.now(r, now) == 0 {
			delete(m, k)
		}
	}
	if len(m) >= throttleEntries {
		evict(m)
	}
}

// evict drops a sixteenth of the table, whichever entries come first: under an
// attack from that many addresses no choice is better than chance.
func evict[K comparable, V any](m map[K]V) {
	n := len(m) / 16
	for k := range m {
		if n--; n < 0 {
			return
		}
		delete(m, k)
	}
}
