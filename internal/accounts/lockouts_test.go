package accounts

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestLockoutsAreWrittenDown: once when one begins, with its end, and once when
// it has ended, however many guesses are refused in between.
func TestLockoutsAreWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		th := newThrottle(over(5, 5*time.Minute), over(10, 10*time.Minute))
		th.log = slog.New(slog.NewTextHandler(&log, nil))
		office := netip.MustParsePrefix("192.0.2.1/32")
		for i := range 5 {
			th.fail(office, domains.Address(fmt.Sprint("user", i)))
		}
		if log.Len() != 0 || len(th.lockouts()) != 1 {
			t.Errorf("before anybody is refused: %q, %v", &log, th.lockouts())
		}
		until := time.Now().Add(time.Minute)
		for range 100 {
			if th.allows(office, "bob") || th.guess(office, "bob", right) {
				t.Fatal("nobody is locked out")
			}
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), `address=192.0.2.1/32 until=`+until.UTC().Format("2006-01-02T15:04:05")) {
			t.Errorf("%d lines: %s", n, &log)
		}
		if l := th.lockouts(); len(l) != 1 || l[0] != (Lockout{"192.0.2.1/32", "", until}) {
			t.Errorf("the list has %v, want until %v", l, until)
		}
		th.mu.Lock() // which those who write to the log hold
		log.Reset()
		th.mu.Unlock()
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "again") || !strings.Contains(log.String(), "address=192.0.2.1/32") {
			t.Errorf("at the end: %d lines: %s", n, &log)
		}
		if !th.guess(office, "bob", right) || len(th.lockouts()) != 0 {
			t.Error("the lock-out does not end when the log says so")
		}
	})
}

// TestLockoutsOfEachKind: an address, an account and an owner at home are each told of by what they are, and each ends
// in its own time; settings that let fewer guesses through make it later.
func TestLockoutsOfEachKind(t *testing.T) {
	place, home := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.9/32")
	at := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32)
	}
	for name, c := range map[string]struct {
		fail  func(th *throttle)
		who   login
		attrs string // of the line, one account or address each
		lasts time.Duration
	}{
		"address": {func(th *throttle) {
			for i := range 5 {
				th.fail(place, domains.Address(fmt.Sprint("u", i)))
			}
		}, login{place, "bob"}, "address=192.0.2.1/32", time.Minute},
		"account": {func(th *throttle) {
			for i := range 10 {
				th.fail(at(i), "bob")
			}
		}, login{place, "bob"}, "user=bob", 3 * time.Minute},
		"both": {func(th *throttle) {
			for i := range 10 {
				th.fail(at(i), "bob")
			}
			for i := range 5 {
				th.fail(place, domains.Address(fmt.Sprint("u", i)))
			}
		}, login{place, "bob"}, "address=192.0.2.1/32, user=bob", 3 * time.Minute},
		"the owner at home": {func(th *throttle) {
			th.succeed(home, "bob")
			for range 5 {
				th.fail(home, "bob")
			}
		}, login{home, "bob"}, "address=192.0.2.9/32 user=bob", time.Minute},
	} {
		for _, slower := range []time.Duration{1, 2} {
			synctest.Test(t, func(t *testing.T) {
				var log mailtest.Log
				th := newThrottle(over(5, 5*time.Minute), over(10, 30*time.Minute))
				th.log = slog.New(slog.NewTextHandler(&log, nil))
				c.fail(th)
				if th.allows(c.who.block, c.who.account) {
					t.Fatalf("%s: nobody is locked out", name)
				}
				var got []string
				for line := range strings.Lines(log.Take()) {
					_, line, _ = strings.Cut(line, `no more are checked" `)
					line, _, _ = strings.Cut(line, " until=")
					got = append(got, line)
				}
				if strings.Join(got, ", ") != c.attrs {
					t.Errorf("%s: told of %q", name, got)
				}
				if slower > 1 {
					th.setRates(over(5, slower*5*time.Minute), over(10, slower*30*time.Minute))
				}
				time.Sleep(slower*c.lasts - 2*time.Second)
				synctest.Wait()
				if last := c.attrs[strings.LastIndex(c.attrs, ",")+1:]; strings.Contains(log.Take(), strings.TrimSpace(last)) && name != "both" || th.allows(c.who.block, c.who.account) {
					t.Errorf("%s: it ends too early", name)
				}
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if lines := log.Take(); !strings.Contains(lines, "again") && name != "both" || len(th.told) != 0 || !th.allows(c.who.block, c.who.account) {
					t.Errorf("%s: at the end %q", name, lines)
				}
			})
		}
	}
}

// TestUnlockAtHome: an owner who has locked himself out is let in again by what he is and by where he is, and is told
// of when it comes to that once more.
func TestUnlockAtHome(t *testing.T) {
	home := netip.MustParsePrefix("192.0.2.9/32")
	for name, matches := range map[string]func(netip.Prefix, domains.Address) bool{
		"by account": func(_ netip.Prefix, a domains.Address) bool { return a == "bob" },
		"by address": func(p netip.Prefix, _ domains.Address) bool { return p == home },
	} {
		synctest.Test(t, func(t *testing.T) {
			var log mailtest.Log
			th := newThrottle(over(5, 5*time.Minute), over(10, 30*time.Minute))
			th.log = slog.New(slog.NewTextHandler(&log, nil))
			th.succeed(home, "bob")
			if th.lift(matches) {
				t.Errorf("%s: there was something to forget", name)
			}
			for range 3 {
				for range 5 {
					th.fail(home, "bob")
				}
				if th.allows(home, "bob") {
					t.Fatalf("%s: not locked out", name)
				}
				if lines := log.Take(); strings.Count(lines, "no more are checked") != 1 {
					t.Errorf("%s: told of in %q", name, lines)
				}
				if !th.lift(matches) || !th.allows(home, "bob") || len(th.told) != 0 {
					t.Errorf("%s: not let in again; %v", name, th.told)
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if lines := log.Take(); lines != "" {
				t.Errorf("%s: told of what had been lifted: %q", name, lines)
			}
		})
	}
}

// TestLockoutsAreBounded: in the log and in the list.
func TestLockoutsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		th := newThrottle(over(1, time.Minute), over(1, time.Minute))
		th.log = slog.New(slog.NewTextHandler(&log, nil))
		for i := range 3 * mostLockouts {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
			account := domains.Address(fmt.Sprint(i))
			th.fail(p, account)
			th.allows(p, account)
		}
		if n := strings.Count(log.String(), "\n"); n != mostLockouts || len(th.lockouts()) != mostLockouts {
			t.Errorf("%d lines, a list of %d", n, len(th.lockouts()))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(th.told) != 0 {
			t.Errorf("%d are kept", len(th.told))
		}
	})
}

// TestUnlock: by account, by address, and only whom it is about.
func TestUnlock(t *testing.T) {
	s := settingsOf(t, "alice", "bob")
	s.Auth.MaxFailuresPerAddress, s.Auth.MaxFailuresPerAccount = 2, 4
	for _, c := range []struct {
		who  string
		ok   bool
		left string // of lock-outs
	}{
		{"alice@mail.test", true, "[192.0.2.1/32 192.0.2.2/32]"},
		{"Alice", true, "[192.0.2.1/32 192.0.2.2/32]"},
		{"192.0.2.1", true, "[192.0.2.2/32 alice@mail.test]"},
		{"192.0.2.2/32", true, "[192.0.2.1/32 alice@mail.test]"},
		{"bob", false, "[192.0.2.1/32 192.0.2.2/32 alice@mail.test]"},
		{"192.0.2.3", false, "[192.0.2.1/32 192.0.2.2/32 alice@mail.test]"},
	} {
		var log bytes.Buffer
		cr := newCredentials(t, s, nil, &log)
		for i := range 4 {
			cr.Verify(from(t, byte(1+i/2)), "", "alice", fmt.Append(nil, "guess", i))
		}
		cr.Verify(from(t, 3), "", "alice", []byte("guess again"))
		cr.Verify(from(t, 2), "", "alice", []byte("guess again"))
		if got := cr.Unlock(c.who); got != c.ok {
			t.Errorf("unlock %s: %t", c.who, got)
		}
		var left []string
		for _, l := range cr.Lockouts() {
			left = append(left, l.Address+l.Account.String())
		}
		slices.Sort(left)
		if fmt.Sprint(left) != c.left {
			t.Errorf("after %s there are left %v, want %s", c.who, left, c.left)
		}
		if strings.Contains(log.String(), "by command") != c.ok {
			t.Errorf("the log says %s", &log)
		}
	}
}
