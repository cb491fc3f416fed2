package accounts

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestUnderWayIsNotForgotten: a guess that is being checked counts, however full the table
// gets meanwhile.
func TestUnderWayIsNotForgotten(t *testing.T) {
	r, now := over(3, time.Minute), time.Now()
	m := map[domains.Address]bucket{}
	for range 2 {
		update(m, "anna", r, now, bucket.booked)
	}
	prune(m, r, now)
	if b := m["anna"]; b.pending != 2 || !b.booked().full(r, now) {
		t.Errorf("under way: %+v", b)
	}
	for range 2 {
		update(m, "anna", r, now, func(b bucket) bucket { return b.settled(false, r, now) })
	}
	if len(m) != 0 {
		t.Errorf("kept: %v", m)
	}
	update(m, "anna", r, now, func(b bucket) bucket { return b.booked().settled(true, r, now) })
	if len(m) != 1 {
		t.Error("a wrong guess is forgotten at once")
	}
	prune(m, r, now.Add(time.Hour))
	if len(m) != 0 {
		t.Error("a wrong guess is remembered for ever")
	}
}

// TestFailuresAreCounted: as many failures as there may be are checked, and not one more,
// from an address, at an account, and by its owner at home; and one more each time that one
// is forgotten.
func TestFailuresAreCounted(t *testing.T) {
	block := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
	}
	for what, guess := range map[string]func(th *throttle, i int) (func(verdict), bool){
		"address": func(th *throttle, i int) (func(verdict), bool) {
			return th.book(block(0), domains.Address(fmt.Sprint(i)))
		},
		"account": func(th *throttle, i int) (func(verdict), bool) { return th.book(block(i), "anna") },
		"home": func(th *throttle, i int) (func(verdict), bool) {
			if i == 0 {
				th.remember(block(0), "anna", right)
			}
			return th.book(block(0), "anna")
		},
	} {
		mailtest.Edge(t, what, 7, func(n int) bool {
			ok := false
			synctest.Test(t, func(t *testing.T) {
				th := newThrottle(over(7, 7*time.Minute), over(100, time.Hour))
				if what == "account" {
					th = newThrottle(over(100, time.Hour), over(7, 7*time.Minute))
				}
				var settle func(verdict)
				for i := range n {
					if settle, ok = guess(th, i); ok {
						settle(wrong)
					}
				}
				if !ok {
					time.Sleep(time.Minute + time.Second)
					if _, again := guess(th, n); !again {
						t.Errorf("%s: not checked after one was forgotten", what)
					}
				}
				time.Sleep(2 * time.Hour) // until what was written down has ended
			})
			return ok
		})
	}
}

// TestNoMemoryOfPasswords: where the settings say so, no password is remembered.
func TestNoMemoryOfPasswords(t *testing.T) {
	s := conf.New()
	for cache, remembers := range map[time.Duration]bool{0: false, time.Minute: true} {
		s.Auth.CacheTime = cache
		if v := newVerifier(s); (v.Remember >= 0) != remembers || v.RememberFor != cache {
			t.Errorf("cache_time %v: %+v", cache, v)
		}
	}
}
