package accounts

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const (
	// remembersLogin is how long an address counts as the account owner's.
	remembersLogin = 30 * 24 * time.Hour
	// throttleEntries bounds each table, so that guesses from very many
	// addresses cost bounded memory.
	throttleEntries = 1 << 16
)

// throttle counts failed logins over all listeners and protocols.
//
// A stranger's count per address and per account, so that a botnet that uses
// each address once meets a bound as well. Where the account has been logged in
// to before, its owner is at home: there only its own failures count, as many as
// an address has. So neither strangers who guess at the account nor a neighbour
// behind the same address can lock the owner out, and nobody can buy further
// guesses at others with logins to an account of his own.
//
// A guess is booked before it is checked and settled after, because any number
// may be checked at the same time.
type throttle struct {
	mu sync.Mutex

	perBlock, perAccount rate

	blocks   map[netip.Prefix]bucket
	accounts map[domains.Address]bucket
	known    map[login]home

	turned int64 // logins that were not checked

	tally *cluster.Tally // nil: no other server counts with this one

	log  *slog.Logger
	told map[Lockout]bool // lock-outs in the log that have not ended, without their time
}

// home is an address that an account has been logged in to from.
type home struct {
	last time.Time // success
	told time.Time // when other servers heard of it
	bucket
}

type login struct {
	block   netip.Prefix
	account domains.Address
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

// bucket is a leaky bucket: its level falls by one every rate.forgets. pending
// guesses are booked and not settled yet.
type bucket struct {
	level   float64
	at      time.Time
	pending int
}

func (b bucket) now(r rate, now time.Time) float64 {
	return max(0, b.level-float64(now.Sub(b.at))/float64(max(1, r.forgets)))
}

// full reports whether one more failure would be too many.
func (b bucket) full(r rate, now time.Time) bool {
	return r.failures > 0 && b.now(r, now)+float64(b.pending) > float64(r.failures-1)
}

func (b bucket) booked() bucket {
	b.pending++
	return b
}

// settled ends what booked began.
func (b bucket) settled(wrong bool, r rate, now time.Time) bucket {
	b.pending = max(0, b.pending-1) // it may have been evicted in between
	if wrong {
		b.level, b.at = b.now(r, now)+1, now
	}
	return b
}

func newThrottle(perBlock, perAccount rate) *throttle {
	return &throttle{
		perBlock: perBlock, perAccount: perAccount,
		blocks:   make(map[netip.Prefix]bucket),
		accounts: make(map[domains.Address]bucket),
		known:    make(map[login]home),
		told:     make(map[Lockout]bool),
		log:      slog.New(slog.DiscardHandler),
	}
}

// setRates changes the rates; what was counted stays.
func (t *throttle) setRates(perBlock, perAccount rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.perBlock, t.perAccount = perBlock, perAccount
}

// allows reports whether a guess at account from block should be checked at all.
func (t *throttle) allows(block netip.Prefix, account domains.Address) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, now := login{block, account}, time.Now()
	ok := t.mayGuess(l, now)
	if !ok {
		t.refused(l, now)
	}
	return ok
}

func (t *throttle) mayGuess(l login, now time.Time) bool {
	if t.isKnown(l, now) {
		return !t.known[l].full(t.perBlock, now)
	}
	return !t.blockRefuses(l, now) && !t.accounts[l.account].full(t.perAccount, now)
}

// blockRefuses reports whether there were too many failures from where a guess comes from. Behind a private address there may be a gateway, a container's
// or a webmail's, and everybody with it: there it is not alone in deciding, and refuses only accounts that have failures of their own. Each of them
// is guessed at no more than perAccount allows.
func (t *throttle) blockRefuses(l login, now time.Time) bool {
	if !t.blocks[l.block].full(t.perBlock, now) {
		return false
	}
	own := t.accounts[l.account]
	return !shared(l.block) || own.pending > 0 || own.now(t.perAccount, now) > 0
}

// shared reports whether a block may be anybody's.
func shared(block netip.Prefix) bool {
	a := block.Addr()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}

// standing is how a guess stands with the throttle before it is made.
type standing struct {
	known   bool // the account has been logged in to from there before
	suspect bool // there were wrong guesses from there lately
}

func (t *throttle) standing(block netip.Prefix, account domains.Address) standing {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	return standing{known: t.isKnown(login{block, account}, now), suspect: t.blocks[block].now(t.perBlock, now) > 0}
}

func (t *throttle) isKnown(l login, now time.Time) bool {
	h, ok := t.known[l]
	return ok && now.Sub(h.last) < remembersLogin
}

// verdict is how a guess ended.
type verdict int

const (
	undecided verdict = iota // nothing was checked in the end
	right
	wrong
)

// book is allows, and counts the guess as wrong until settle is called, which
// must happen once. It is so for accounts that do not exist, too: the throttle
// must not tell them apart.
func (t *throttle) book(block netip.Prefix, account domains.Address) (settle func(verdict), ok bool) {
	l, now := login{block, account}, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.mayGuess(l, now) {
		t.refused(l, now)
		return nil, false
	}
	if t.isKnown(l, now) {
		h := t.known[l]
		t.known[l] = home{h.last, h.told, h.booked()}
		return func(v verdict) { t.settleAtHome(l, v) }, true
	}
	update(t.blocks, block, t.perBlock, now, bucket.booked)
	update(t.accounts, account, t.perAccount, now, bucket.booked)
	return func(v verdict) { t.settle(l, v) }, true
}

func (t *throttle) settleAtHome(l login, v verdict) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if h, ok := t.known[l]; ok {
		t.known[l] = home{h.last, h.told, h.settled(v == wrong, t.perBlock, now)}
	}
	if v == wrong {
		t.tell(failedAtHome, l.String(), t.perBlock)
	}
	t.welcome(l, v, now)
}

func (t *throttle) settle(l login, v verdict) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	update(t.blocks, l.block, t.perBlock, now, func(b bucket) bucket { return b.settled(v == wrong, t.perBlock, now) })
	update(t.accounts, l.account, t.perAccount, now, func(b bucket) bucket { return b.settled(v == wrong, t.perAccount, now) })
	if v == wrong {
		t.tell(failedFrom, l.block.String(), t.perBlock)
		t.tell(failedAt, l.account.String(), t.perAccount)
	}
	t.welcome(l, v, now)
}

// remember is for a right answer that needed no booking.
func (t *throttle) remember(block netip.Prefix, account domains.Address, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.welcome(login{block, account}, v, time.Now())
}

// welcome remembers that a right answer came from the account's owner.
func (t *throttle) welcome(l login, v verdict, now time.Time) {
	if v != right {
		return
	}
	h, ok := t.known[l]
	if !ok && len(t.known) >= throttleEntries {
		t.evictHomes()
	}
	h.last = now
	t.tellHome(l, &h, now)
	t.known[l] = h
}

// manyHomes is how many homes one account may have before they are forgotten for those
// of others: who logs in from every address of a large network has many.
const manyHomes = 64

// evictHomes forgets homes: of accounts with very many first, then where nobody has been
// for longest.
func (t *throttle) evictHomes() {
	homes := make(map[domains.Address]int)
	for l := range t.known {
		homes[l.account]++
	}
	Evict(t.known, func(l login, h home) float64 {
		last := h.last
		if homes[l.account] > manyHomes {
			last = last.Add(-10 * remembersLogin)
		}
		return float64(last.UnixMicro())
	})
}

// update changes a bucket. Empty ones are not kept.
func update[K comparable](m map[K]bucket, k K, r rate, now time.Time, change func(bucket) bucket) {
	b, ok := m[k]
	b = change(b)
	if b.pending == 0 && b.now(r, now) == 0 {
		delete(m, k)
		return
	}
	if !ok && len(m) >= throttleEntries {
		prune(m, r, now)
	}
	m[k] = b
}

// prune drops what has been forgotten, and at least something.
func prune[K comparable](m map[K]bucket, r rate, now time.Time) {
	for k, b := range m {
		if b.pending == 0 && b.now(r, now) == 0 {
			delete(m, k)
		}
	}
	if len(m) >= throttleEntries {
		Evict(m, func(_ K, b bucket) float64 { return b.now(r, now) + float64(b.pending) })
	}
}

// Evict drops the sixteenth of a table that matters least. Whoever makes very
// many entries of little weight, with a failure each from many addresses or at
// many names, does not have one forgotten at which he guesses often.
func Evict[K comparable, V any](m map[K]V, weight func(K, V) float64) {
	weights := make([]float64, 0, len(m))
	for k, v := range m {
		weights = append(weights, weight(k, v))
	}
	slices.Sort(weights)
	n := max(1, len(m)/16)
	most := weights[n-1]
	for light := range 2 { // first what is lighter, then of the rest any
		for k, v := range m {
			if n > 0 && (weight(k, v) < most || light == 1 && weight(k, v) == most) {
				delete(m, k)
				n--
			}
		}
	}
}
