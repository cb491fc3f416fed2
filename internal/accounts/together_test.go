package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/cluster/clustertest"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestThrottleTogether: what fails at one server counts at the other, a lock-out is one at both and is lifted for both, and an owner is at
// home at both. While they cannot tell each other, each counts for itself.
func TestThrottleTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counts := clustertest.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all [2]*Credentials
		for i := range all {
			all[i] = &Credentials{throttle: newThrottle(over(10, 10*time.Minute), over(20, 20*time.Minute)), log: slog.New(slog.DiscardHandler), dir: NewDirectory(&conf.Settings{ServerName: "mail.test"})}
			tally := cluster.NewTally(counts, slog.New(slog.DiscardHandler))
			all[i].CountWith(tally)
			go tally.Run(ctx)
		}
		a, b := all[0].throttle, all[1].throttle
		bad, home, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("192.0.2.9/32")
		soon := func() { time.Sleep(2 * time.Second); synctest.Wait() }
		b.succeed(home, "anna@mail.test")
		for i := range 4 {
			a.fail(bad, domains.Address(fmt.Sprint("user", i)))
			b.fail(bad, domains.Address(fmt.Sprint("user", i)))
		}
		soon()
		a.fail(bad, "user")
		soon()
		if !b.allows(bad, "x") || len(all[1].Lockouts()) != 0 {
			t.Errorf("nine failures lock out: %+v", all[1].Lockouts())
		}
		a.fail(bad, "user")
		soon()
		for i, th := range []*throttle{a, b} {
			if th.allows(bad, "x") || len(all[i].Lockouts()) != 1 {
				t.Errorf("ten failures do not lock out at %d: %+v", i, all[i].Lockouts())
			}
			if !th.allows(other, "x") {
				t.Error("another address suffers")
			}
		}
		time.Sleep(time.Minute)
		if !a.allows(bad, "x") || !b.allows(bad, "x") {
			t.Error("nothing was forgiven after a minute")
		}
		// Guesses at an account from everywhere, half at each.
		for i := range 20 {
			all[i%2].throttle.fail(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32), "anna@mail.test")
			soon()
		}
		if a.allows(other, "anna@mail.test") || b.allows(other, "anna@mail.test") {
			t.Error("any number of guesses can be made at an account")
		}
		if !a.allows(home, "anna@mail.test") || !b.allows(home, "anna@mail.test") {
			t.Error("the owner is locked out where he is at home")
		}
		if !all[1].Unlock("anna@mail.test") {
			t.Error("there was nothing to unlock")
		}
		soon()
		if !a.allows(other, "anna@mail.test") || !b.allows(other, "anna@mail.test") {
			t.Error("it is not unlocked at both")
		}
		// A home's own failures count at both.
		for i := range 10 {
			all[i%2].throttle.fail(home, "anna@mail.test")
			soon()
		}
		if a.allows(home, "anna@mail.test") || b.allows(home, "anna@mail.test") {
			t.Error("any number of guesses can be made from a home")
		}
		counts.Fail(errors.New("away"))
		for range 10 {
			a.fail(other, "zoe@mail.test")
		}
		soon()
		if a.allows(other, "x") || !b.allows(other, "x") {
			t.Error("a server does not count for itself")
		}
		counts.Fail(nil)
		soon()
		if b.allows(other, "x") {
			t.Error("what was counted meanwhile is not told")
		}
	})
}
