package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/fetch"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// heldOn is what other hosts hold on to of the old server, once they have read it: a policy of
// MTA-STS for its max_age (RFC 8461 §3.2), TLSA records for their TTL. Mail that goes by them does
// not come to a server that they do not know.
type heldOn struct {
	host   string        // where mail is to come
	keys   []zone.TLSKey // that it shows
	policy func(ctx context.Context, domain string) (*relay.STSPolicy, error)
	tlsa   func(ctx context.Context, name string) (resolver.Answer[resolver.TLSA], error)
}

func newHeldOn(s *conf.Settings) (*heldOn, error) {
	if s.ServerName == "" {
		return nil, errors.New("the settings have no server_name: nothing in the DNS can lead there")
	}
	asked, err := published.DNS(s)
	if err != nil {
		return nil, err
	}
	dns := resolver.New(asked)
	sts := &relay.STS{Resolver: dns}
	return &heldOn{host: domains.Canonical(s.ServerName).String(), keys: published.TLSKeys(s), policy: sts.Policy, tlsa: dns.TLSA}, nil
}

// check says what is to be done before the MX records of domains lead here.
func (h *heldOn) check(ctx context.Context, of []domains.Name) *todo {
	t := &todo{what: "dns", all: len(of) + 1}
	for _, domain := range of {
		h.checkPolicy(ctx, t, domain.String())
	}
	h.checkTLSA(ctx, t)
	return t
}

func (h *heldOn) checkPolicy(ctx context.Context, t *todo, domain string) {
	p, err := h.policy(ctx, domain)
	switch {
	case err != nil:
		t.find("%s: whether others hold on to an MTA-STS policy cannot be seen: %v", domain, err)
	case p != nil && p.Mode == relay.STSEnforce && !p.Match(h.host):
		t.find("%s: its MTA-STS policy (enforce) does not name %s, so mail of those who have read it stays away for %s, until %s if that is today; add \"mx: %[2]s\" to it with a new id, and wait that long",
			domain, h.host, spanOf(p.MaxAge), time.Now().Add(p.MaxAge).Format(time.DateOnly))
	}
}

// checkTLSA looks at records of the name that mail is to come to: it may be the old server's name as well.
func (h *heldOn) checkTLSA(ctx context.Context, t *todo) {
	name := "_25._tcp." + h.host
	a, err := h.tlsa(ctx, name)
	switch {
	case errors.Is(err, resolver.ErrNoName) || err == nil && len(a.Records) == 0:
		return
	case err != nil:
		t.find("%s: whether there are TLSA records cannot be seen: %v", name, err)
		return
	case slices.ContainsFunc(a.Records, h.shows):
		return
	}
	var ours []string
	for _, k := range h.keys {
		ours = append(ours, `"3 1 1 `+hex.EncodeToString(k.SPKI[:])+`"`)
	}
	if len(ours) == 0 {
		t.find("%s: there are TLSA records, and this server has no certificate yet that they could name", name)
		return
	}
	t.find("%s: its TLSA records name other keys than this server's; add %s beside them, and wait for %s", name, strings.Join(ours, " and "), spanOf(a.TTL))
}

// shows reports whether a record names a key of this server.
func (h *heldOn) shows(t resolver.TLSA) bool {
	const endEntity, publicKey, sha256 = 3, 1, 1 // RFC 7672 §3.1
	return t.Usage == endEntity && t.Selector == publicKey && t.Matching == sha256 &&
		slices.ContainsFunc(h.keys, func(k zone.TLSKey) bool { return string(k.SPKI[:]) == string(t.Data) })
}

// spanOf is a duration in days, hours or minutes, as TTLs are.
func spanOf(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", (d+time.Minute-1)/time.Minute)
}

// movedDomains are the domains of the addresses of a list, each once.
func movedDomains(list []fetch.Account) (all []domains.Name) {
	for _, a := range list {
		if name := domains.CanonicalAddress(a.Address).Domain(); name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}
