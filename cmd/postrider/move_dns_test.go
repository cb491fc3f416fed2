package main

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/fetch"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// TestHeldOn: what others hold on to of the old server is told before the MX record leads here, with
// what to add and how long to wait.
func TestHeldOn(t *testing.T) {
	var own, other zone.TLSKey
	own.SPKI[0], other.SPKI[0] = 1, 2
	record := func(k zone.TLSKey, usage, selector, matching uint8) resolver.TLSA {
		return resolver.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: k.SPKI[:]}
	}
	enforce := func(mx ...string) *relay.STSPolicy {
		return &relay.STSPolicy{Mode: relay.STSEnforce, MX: mx, MaxAge: 7 * 24 * time.Hour}
	}
	away := errors.New("SERVFAIL")
	for _, c := range []struct {
		name    string
		policy  *relay.STSPolicy
		sts     error
		records []resolver.TLSA
		tlsa    error
		keys    []zone.TLSKey
		want    []string // in the one line there is; none: nothing is left to do
	}{
		{name: "nothing", tlsa: resolver.ErrNoName},
		{name: "no records"},
		{name: "a policy that names us", policy: enforce("old.test", "new.test")},
		{name: "a policy that names all", policy: enforce("*.test")},
		{name: "a policy of others alone", policy: enforce("old.test"),
			want: []string{"town.test: its MTA-STS policy", "does not name new.test", "7 days", time.Now().Add(7 * 24 * time.Hour).Format(time.DateOnly), `"mx: new.test"`}},
		{name: "one that is tested", policy: &relay.STSPolicy{Mode: relay.STSTesting, MX: []string{"old.test"}}},
		{name: "one that ends", policy: &relay.STSPolicy{Mode: relay.STSNone}},
		{name: "no answer about policies", sts: away, want: []string{"town.test: whether others hold on to an MTA-STS policy cannot be seen: SERVFAIL"}},
		{name: "our key", records: []resolver.TLSA{record(other, 3, 1, 1), record(own, 3, 1, 1)}, keys: []zone.TLSKey{own}},
		{name: "another's key", records: []resolver.TLSA{record(other, 3, 1, 1)}, keys: []zone.TLSKey{own},
			want: []string{"_25._tcp.new.test: its TLSA records name other keys", `"3 1 1 ` + hex.EncodeToString(own.SPKI[:]) + `"`, "90 minutes"}},
		{name: "an authority's key", records: []resolver.TLSA{record(own, 2, 1, 1)}, keys: []zone.TLSKey{own}, want: []string{"other keys"}},
		{name: "no certificate", records: []resolver.TLSA{record(other, 3, 1, 1)}, want: []string{"has no certificate yet"}},
		{name: "no answer about records", tlsa: away, want: []string{"_25._tcp.new.test: whether there are TLSA records cannot be seen: SERVFAIL"}},
	} {
		h := &heldOn{host: "new.test", keys: c.keys,
			policy: func(_ context.Context, domain string) (*relay.STSPolicy, error) { return c.policy, c.sts },
			tlsa: func(_ context.Context, name string) (resolver.Answer[resolver.TLSA], error) {
				return resolver.Answer[resolver.TLSA]{Records: c.records, TTL: 90 * time.Minute}, c.tlsa
			},
		}
		left := h.check(t.Context(), []domains.Name{"town.test"}).left
		if len(left) != min(len(c.want), 1) {
			t.Errorf("%s: %q", c.name, left)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(left[0], want) {
				t.Errorf("%s: no %s in %s", c.name, want, left[0])
			}
		}
	}
}

func TestMovedDomains(t *testing.T) {
	got := movedDomains([]fetch.Account{{Address: "a@B.test"}, {Address: "b@a.test"}, {Address: "c@b.test"}, {Address: ""}})
	if !slices.Equal(got, []domains.Name{"a.test", "b.test"}) {
		t.Error(got)
	}
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 minutes", time.Second: "1 minutes", 2*time.Hour - 1: "120 minutes", 2 * time.Hour: "2 hours", 48*time.Hour - 1: "47 hours", 48 * time.Hour: "2 days"} {
		if got := spanOf(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
