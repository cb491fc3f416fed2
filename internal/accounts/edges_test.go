package accounts

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
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

// TestEvict: a sixteenth of a table goes, that which matters least, and no more, however
// many matter as little.
func TestEvict(t *testing.T) {
	for what, weight := range map[string]func(i int) float64{
		"different": func(i int) float64 { return float64(i) },
		"alike":     func(int) float64 { return 1 },
		"in halves": func(i int) float64 { return float64(i / 80) },
		"two light": func(i int) float64 { return float64(min(i, 2)) },
	} {
		m := map[int]float64{}
		for i := range 160 {
			m[i] = weight(i)
		}
		Evict(m, func(_ int, w float64) float64 { return w })
		if len(m) != 150 {
			t.Errorf("%s: %d of 160 are left", what, len(m))
		}
		for i := range 160 {
			_, left := m[i]
			if light := i < 10 && what == "different" || i < 2 && what == "two light"; light && left {
				t.Errorf("%s: %d is left", what, i)
			}
			if heavy := i >= 10 && what == "different" || i >= 80 && what == "in halves"; heavy && !left {
				t.Errorf("%s: %d is gone", what, i)
			}
		}
	}
	few := map[int]float64{1: 1, 2: 2}
	if Evict(few, func(_ int, w float64) float64 { return w }); len(few) != 1 || few[2] == 0 {
		t.Errorf("of two: %v", few)
	}
}

// TestUnreadableKeys: keys of an account that cannot be read are an error, and not an
// account without keys.
func TestUnreadableKeys(t *testing.T) {
	for what, account := range map[string]conf.Account{
		"SCRAM": {ScramSHA256: "SCRAM-SHA-256$no keys"}, "CRAM": {CRAMMD5: "{CRAM-MD5}no keys"}, "APOP": {APOP: "sealed:no seal"},
	} {
		s := conf.New()
		s.ServerName, s.SecretKeyFile = "mail.test", filepath.Join(t.TempDir(), "secret.key")
		s.Accounts = map[string]*conf.Account{"ann@mail.test": &account}
		if _, err := New(s, NewDirectory(s), nil, nil, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// TestLockoutsInOrder: those that end last come first, and the same ones in the same order.
func TestLockoutsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(over(2, 4*time.Minute), over(2, 2*time.Minute))
		for i := range 2 {
			for _, at := range []string{"192.0.2.2/32", "192.0.2.1/32"} {
				th.fail(netip.MustParsePrefix(at), domains.Address(fmt.Sprint("other", i, at)))
			}
			th.fail(netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", 100+i)), "anna")
		}
		var got []string
		for _, l := range th.lockouts() {
			got = append(got, l.Address+l.Account.String())
		}
		if want := "[192.0.2.1/32 192.0.2.2/32 anna]"; fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
	})
}

// TestRandom: what nobody is to guess is another each time.
func TestRandom(t *testing.T) {
	for name, make := range map[string]func() string{
		"second factor": func() string { return string(NewSecondFactor()) }, "password": func() string { return string(RandomPassword()) },
	} {
		one := make()
		if one == make() || strings.Count(one, one[:1]) == len(one) {
			t.Errorf("the same %s twice: %q", name, one)
		}
	}
	if n := len(NewSecondFactor()); n != 20 { // RFC 4226 §4
		t.Errorf("a second factor has %d octets", n)
	}
}

// TestLongestPassword: a password may have so many octets, and no more.
func TestLongestPassword(t *testing.T) {
	mailtest.Edge(t, "octets", passwd.MaxPassword, func(n int) bool { return Usable([]byte(strings.Repeat("x", n))) == nil })
}

// TestKeep: what is recalled takes no place of what has been learnt since, and no more room than there is.
func TestKeep(t *testing.T) {
	m := map[int]string{1: "since"}
	keep(m, 1, "before")
	keep(m, 2, "before")
	if m[1] != "since" || m[2] != "before" {
		t.Error(m)
	}
	for i := range throttleEntries + 10 {
		keep(m, i, "")
	}
	if len(m) != throttleEntries {
		t.Errorf("%d of %d", len(m), throttleEntries)
	}
}
