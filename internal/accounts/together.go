package accounts

import (
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Servers with the same accounts count failed logins together, and know alike where owners are at home: what one has counted the others
// have soon after. Who is allowed to guess is decided by what is in memory, so that nobody waits for another server.

// Kinds of numbers that they tell each other.
const (
	failedFrom   = "login failed from" // a place: key is the network
	failedAt     = "login failed at"   // an account
	failedAtHome = "login failed home" // an account from its owner's place: key is both
	isHome       = "login home"        // when its owner was there last, in Unix seconds
)

// homeAgain is how old what others know of a home gets before they are told again.
const homeAgain = 24 * time.Hour

// CountWith has failed logins counted with other servers (nil: with none). It is called once, before the first login.
func (c *Credentials) CountWith(tally *cluster.Tally) {
	t := c.throttle
	t.tally = tally
	tally.On(failedFrom, func(h cluster.Heard) {
		if block, err := netip.ParsePrefix(h.Key); err == nil {
			t.heard(func(now time.Time) {
				update(t.blocks, block, t.perBlock, now, func(b bucket) bucket { return b.heard(h, t.perBlock, now) })
			})
		}
	})
	tally.On(failedAt, func(h cluster.Heard) {
		t.heard(func(now time.Time) {
			update(t.accounts, domains.Address(h.Key), t.perAccount, now, func(b bucket) bucket { return b.heard(h, t.perAccount, now) })
		})
	})
	tally.On(failedAtHome, func(h cluster.Heard) {
		if l, ok := parseLogin(h.Key); ok {
			t.heard(func(now time.Time) {
				if home, ok := t.known[l]; ok {
					home.bucket = home.bucket.heard(h, t.perBlock, now)
					t.known[l] = home
				}
			})
		}
	})
	tally.On(isHome, func(h cluster.Heard) {
		if l, ok := parseLogin(h.Key); ok {
			t.heard(func(now time.Time) { t.heardHome(l, time.Unix(int64(h.Level), 0), now) })
		}
	})
}

func (t *throttle) heard(take func(now time.Time)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	take(time.Now())
}

// heard is a bucket as all servers have it; what is being checked here stays.
func (b bucket) heard(h cluster.Heard, r rate, now time.Time) bucket {
	b.level, b.at = max(0, h.Level), now.Add(-h.Age)
	b.level, b.at = b.now(r, now), now
	return b
}

// heardHome remembers that an owner was at home at another server.
func (t *throttle) heardHome(l login, last, now time.Time) {
	if last.After(now) { // by another clock
		last = now
	}
	h, ok := t.known[l]
	if ok && !h.last.Before(last) {
		return
	}
	if !ok && len(t.known) >= throttleEntries {
		t.evictHomes()
	}
	h.last, h.told = last, last
	t.known[l] = h
}

// tell tells other servers of one more failure. t.mu is held.
func (t *throttle) tell(kind, key string, r rate) {
	if r.failures > 0 {
		t.tally.Tell(cluster.Told{Kind: kind, Key: key, Level: 1, Falls: 1 / max(r.forgets, time.Millisecond).Seconds(), Lives: lives(r)})
	}
}

// lives is how long a bucket matters that is full, and somewhat over.
func lives(r rate) time.Duration { return time.Duration(2*r.failures+2) * r.forgets }

// tellLifted tells them that failures are forgotten.
func (t *throttle) tellLifted(kind, key string, r rate) {
	t.tally.Tell(cluster.Told{Kind: kind, Key: key, Replace: true, Lives: lives(r)})
}

// tellHome tells them of a home, unless they know.
func (t *throttle) tellHome(l login, h *home, now time.Time) {
	if now.Sub(h.told) < homeAgain {
		return
	}
	h.told = now
	t.tally.Tell(cluster.Told{Kind: isHome, Key: l.String(), Level: float64(now.Unix()), Replace: true, Lives: remembersLogin})
}

// String is the key of a login: a network has no blanks in it.
func (l login) String() string { return l.block.String() + " " + l.account.String() }

func parseLogin(key string) (l login, ok bool) {
	block, account, ok := strings.Cut(key, " ")
	l.account = domains.Address(account)
	var err error
	l.block, err = netip.ParsePrefix(block)
	return l, ok && err == nil
}
