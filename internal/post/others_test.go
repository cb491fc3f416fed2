package post

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/whole"
	"github.com/postrider-mail/postrider/internal/whole/wholetest"
)

// TestRatesTogether: what is sent at one server counts at the other, what is not sent in the end does not, and limits are lifted for both. What
// was counted before a server began is no news to it; and while servers cannot tell each other, each counts for itself.
func TestRatesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counts := wholetest.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		soon := func() { time.Sleep(2 * time.Second); synctest.Wait() }
		join := func() *Post {
			p := &Post{Log: slog.New(slog.DiscardHandler)}
			tally := whole.NewTally(counts, slog.New(slog.DiscardHandler))
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

// TestRatesGivenBack: what one server takes and gives back, because it is not sent, counts nowhere, also where the others have heard of it
// in between.
func TestRatesGivenBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var r rates
	h := holder{whose: OfAccount, name: "ann@mail.test"}
	hear := func(level float64, old bool) {
		r.heard(whole.Heard{Kind: sentRecipients, Key: h.key(now), Level: level, Old: old}, now)
	}
	for range 5 {
		hear(40, false)
		hear(0, false)
	}
	hear(3, false)
	if l := r.of(h, now); l.Hour.Recipients != 3 || l.Day.Recipients != 3 {
		t.Errorf("%+v", l)
	}
}

// TestRatesWithoutRoom: once strangers have filled what is known of other servers, a server's own messages count once.
func TestRatesWithoutRoom(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var r rates
	r.others.tally = whole.NewTally(wholetest.NewMemory(), slog.New(slog.DiscardHandler))
	for i := range 2 * kinds * mostHolders {
		r.others.of(sentMessages, fmt.Sprint(i), now)
	}
	c := claim{holder: holder{whose: OfAccount, name: "ann@mail.test"}}
	for i := range 5 {
		r.take([]claim{c}, 0, Amount{1, 1}, now)
		for _, kind := range []string{sentMessages, sentRecipients} {
			r.heard(whole.Heard{Kind: kind, Key: c.key(now), Level: float64(i + 1)}, now)
		}
	}
	if l := r.of(c.holder, now); l.Hour.Amount != (Amount{5, 5}) {
		t.Errorf("%+v", l)
	}
}
