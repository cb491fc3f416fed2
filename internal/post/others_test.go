package post

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/cluster/clustertest"
)

// TestRatesTogether: what is sent at one server counts at the other, what is not sent in the end does not, and limits are lifted for both. What
// was counted before a server began is no news to it; and while servers cannot tell each other, each counts for itself.
func TestRatesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counts := clustertest.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		soon := func() { time.Sleep(2 * time.Second); synctest.Wait() }
		join := func() *Post {
			p := &Post{Log: slog.New(slog.DiscardHandler)}
			tally := cluster.NewTally(counts, slog.New(slog.DiscardHandler))
			p.CountWith(tally)
			go tally.Run(ctx)
			soon()
			return p
		}
		rate := Rate{Hour: Amount{Messages: 10, Recipients: 100}}
		claims := append(ann(rate), claim{holder{whose: OfNetwork, network: netip.MustParsePrefix("192.0.2.0/24")}, rate})
		send := func(p *Post, want bool) {
			t.Helper()
			if l := p.rates.take(claims, 0, Amount{1, 3}, time.Now()); (l == nil) != want {
				t.Errorf("%v", l)
			}
		}
		a, b := join(), join()
		for range 4 {
			send(a, true)
			send(b, true)
		}
		send(a, true)
		a.rates.give(claims, Amount{1, 3}, time.Now())
		soon()
		send(a, true)
		soon()
		send(b, true)
		soon()
		send(a, false)
		send(b, false)
		for _, p := range []*Post{a, b} {
			for _, c := range claims {
				if l := p.rates.by[c.whose][c.holder]; l.Hour.Amount != (Amount{10, 30}) || l.Day.Amount != (Amount{10, 30}) {
					t.Errorf("%s: %+v", c.whose, l)
				}
			}
		}
		if _, err := a.Lift(t.Context(), "ann@mail.test", time.Now().Add(30*time.Minute)); err != nil {
			t.Fatal(err)
		}
		soon()
		claims = claims[:1]
		send(a, true)
		send(b, true)
		b.Restore("ann@mail.test")
		soon()
		for range 5 {
			send(a, true)
			send(b, true)
		}
		soon()
		send(a, false)

		c := join()
		send(c, true)
		soon()
		send(c, true)
		counts.Fail(errors.New("away"))
		time.Sleep(2 * time.Hour)
		for range 10 {
			send(a, true)
		}
		send(a, false)
		send(b, true)
		counts.Fail(nil)
		soon()
		send(b, false)
		time.Sleep(48 * time.Hour)
		send(a, true)
		soon()
		for range 9 {
			send(b, true)
		}
		send(b, false)
	})
	for _, key := range []string{"", "2026-01-01 account ", "2026-01-01 nobody  x", "2026-01-01 account nonsense x"} {
		if h, _, ok := parseHolder(key); ok {
			t.Errorf("%q: %+v", key, h)
		}
	}
}
