package daemon

import (
	"net/netip"
	"sync"
	"time"
)

// How many wrong passwords are forgiven, and how fast. An address gets ten
// guesses and one more every minute; an account, counted over all addresses,
// a hundred and one more every ten seconds. A botnet that uses each address
// once so still meets a bound, while the owner, whose address has logged in
// before, is never locked out by strangers guessing at their account.
const (
	guessesPerBlock   = 10
	blockForgets      = time.Minute
	guessesPerAccount = 100
	accountForgets    = 10 * time.Second
	remembersLogin    = 30 * 24 * time.Hour
	throttleEntries   = 1 << 16 // per table: bounds memory against many addresses
)

// throttle counts failed logins over all listeners and protocols.
type throttle struct {
	mu       sync.Mutex
	blocks   map[netip.Prefix]bucket
	accounts map[string]bucket
	known    map[login]time.Time // last success
}

type login struct {
	block   netip.Prefix
	account string
}

// bucket is a leaky bucket: level falls by one every forget interval.
type bucket struct {
	level float64
	at    time.Time
}

func (b bucket) now(forgets time.Duration, now time.Time) float64 {
	return max(0, b.level-float64(now.Sub(b.at))/float64(forgets))
}

func newThrottle() *throttle {
	return &throttle{
		blocks:   make(map[netip.Prefix]bucket),
		accounts: make(map[string]bucket),
		known:    make(map[login]time.Time),
	}
}

// allows says whether a guess at account from block should be checked at all.
func (t *throttle) allows(block netip.Prefix, account string) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blocks[block].now(blockForgets, now) > guessesPerBlock-1 {
		return false
	}
	if last, ok := t.known[login{block, account}]; ok && now.Sub(last) < remembersLogin {
		return true
	}
	return t.accounts[account].now(accountForgets, now) <= guessesPerAccount-1
}

// failed counts a wrong guess. It is called for accounts that do not exist,
// too: the throttle must not tell them apart.
func (t *throttle) failed(block netip.Prefix, account string) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	add(t.blocks, block, blockForgets, now)
	add(t.accounts, account, accountForgets, now)
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

func add[K comparable](m map[K]bucket, k K, forgets time.Duration, now time.Time) {
	if _, ok := m[k]; !ok && len(m) >= throttleEntries {
		prune(m, forgets, now)
	}
	m[k] = bucket{m[k].now(forgets, now) + 1, now}
}

// prune drops what has been forgotten, and at least something.
func prune[K comparable](m map[K]bucket, forgets time.Duration, now time.Time) {
	for k, b := range m {
		if b.now(forgets, now) == 0 {
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
