package accounts

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestLastLogins: the last of several homes counts, those of others do not, and what is no longer remembered is not told.
func TestLastLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Credentials{throttle: newThrottle(over(3, time.Hour), over(3, time.Hour))}
		a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
		c.throttle.remember(a, "ann@x.test", right)
		time.Sleep(time.Minute)
		c.throttle.remember(b, "ann@x.test", right)
		c.throttle.remember(b, "ben@x.test", right)
		c.throttle.remember(a, "ann@x.test", wrong)
		got := c.LastLogins("ann@x.test", "cyd@x.test")
		if len(got) != 1 || got["ann@x.test"] != (LastLogin{time.Now(), b}) {
			t.Errorf("%+v", got)
		}
		time.Sleep(remembersLogin)
		if got := c.LastLogins("ann@x.test"); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
}
