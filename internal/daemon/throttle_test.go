package daemon

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottlePerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(over(10, 10*time.Minute), over(100, 1000*time.Second))
		bad := netip.MustParsePrefix("192.0.2.1/32")
		other := netip.MustParsePrefix("192.0.2.2/32")
		for i := range 10 {
			if !th.allows(bad, fmt.Sprint("user", i)) {
				t.Fatalf("guess %d refused", i+1)
			}
			th.failed(bad, fmt.Sprint("user", i))
		}
		if th.allows(bad, "somebody") {
			t.Error("one guess too many was allowed")
		}
		if !th.allows(other, "somebody") {
			t.Error("another address suffers")
		}
		time.Sleep(time.Minute)
		if !th.allows(bad, "somebody") {
			t.Error("nothing was forgiven after a minute")
		}
		th.failed(bad, "somebody")
		if th.allows(bad, "somebody") {
			t.Error("more than one guess was forgiven after a minute")
		}
	})
}

func TestThrottlePerAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(over(10, 10*time.Minute), over(100, 1000*time.Second))
		home := netip.MustParsePrefix("198.51.100.1/32")
		th.succeeded(home, "anna")
		for i := range 100 {
			from := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)
			if !th.allows(from, "anna") {
				t.Fatalf("guess %d refused", i+1)
			}
			th.failed(from, "anna")
		}
		stranger := netip.MustParsePrefix("203.0.113.9/32")
		if th.allows(stranger, "anna") {
			t.Error("the account can be guessed at without end from fresh addresses")
		}
		if !th.allows(home, "anna") {
			t.Error("the owner is locked out by strangers")
		}
		if !th.allows(stranger, "bert") {
			t.Error("another account suffers")
		}
	})
}

func TestThrottleIsBounded(t *testing.T) {
	th := newThrottle(over(10, 10*time.Minute), over(100, 1000*time.Second))
	for i := range 2*throttleEntries + 10 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		p := netip.PrefixFrom(a, 32)
		th.failed(p, fmt.Sprint(i))
		th.succeeded(netip.PrefixFrom(a.Next(), 32), fmt.Sprint(i))
	}
	if n := max(len(th.blocks), len(th.accounts), len(th.known)); n > throttleEntries {
		t.Errorf("%d entries, more than %d", n, throttleEntries)
	}
}
