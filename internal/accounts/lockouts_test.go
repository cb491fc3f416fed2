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
