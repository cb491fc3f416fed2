package daemon

import (
	"net/netip"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// TestQuotaOfWhom: an account's own limit counts, else its domain's, else the store's; what a
// domain says beside a quota changes nothing about it.
func TestQuotaOfWhom(t *testing.T) {
	w := start(t, `"Store": {"quota": "1MB", "quota_messages": 7},
		"Domains": {
			"plain.test": {"Aliases": {"x": "alice@mail.test"}},
			"large.test": {"quota": "2MB", "total_quota": "9MB", "Accounts": {"own": {"quota": "3MB", "disabled": true}, "any": {"quota": "none", "disabled": true}}}},`)
	for user, want := range map[string]maildir.Quota{
		"alice@mail.test": {Octets: 1e6, Messages: 7}, "x@plain.test": {Octets: 1e6, Messages: 7}, "nobody@far.test": {Octets: 1e6, Messages: 7},
		"x@large.test": {Octets: 2e6, Messages: 7}, "own@large.test": {Octets: 3e6, Messages: 7}, "any@large.test": {Messages: 7},
	} {
		if got := w.quota(user); got != want {
			t.Errorf("%s: %+v, want %+v", user, got, want)
		}
	}
	for domain, want := range map[string]int64{"large.test": 9e6, "plain.test": 0, "far.test": 0} {
		if got := w.domainQuota(domain); got.Octets != want || got.Messages != 0 {
			t.Errorf("%s: %+v", domain, got)
		}
	}
}

// TestSourceAlone: an address to send from needs no name to go with it, and the other way
// round.
func TestSourceAlone(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.7")
	q := &conf.Queue{Domains: map[string]*conf.QueueDomain{
		"a.test": {SourceAddress: addr}, "b.test": {EHLOName: "out.mail.test"}, "c.test": {SourceAddress: addr, EHLOName: "out.mail.test"},
	}}
	all, err := byDomain(q)
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]relay.Source{
		"a.test": {Addr: addr}, "b.test": {Hello: "out.mail.test"}, "c.test": {Addr: addr, Hello: "out.mail.test"},
	} {
		if d, ok := all.Of(domain); !ok || d.Source != want {
			t.Errorf("%s: %+v", domain, d.Source)
		}
	}
}

// TestRetiredAreWaitedFor: a server that a reload has replaced is one as long as it has
// sessions.
func TestRetiredAreWaitedFor(t *testing.T) {
	w := start(t, "")
	k := w.dial("127.0.0.1:0")
	k.play("S: 220")
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	busy := 0
	w.eachServer(func(s server) { busy += int(s.Sessions()) })
	if busy != 1 {
		t.Errorf("%d sessions of all servers, want the one there is", busy)
	}
	k.play("C: QUIT\nS: 221")
}

// TestDescriptorsSuffice: so many descriptors are enough for so many connections, and one
// connection more is too many.
func TestDescriptorsSuffice(t *testing.T) {
	s := conf.New()
	reserve := otherFiles + deliveryFiles*s.Queue.Concurrency
	mailtest.Edge(t, "connections", 500, func(n int) bool {
		return connectionsWith(uint64(reserve+500*connectionFiles), s) >= n
	})
	if got := connectionsWith(uint64(reserve+500*connectionFiles+1), s); got != 500 {
		t.Errorf("half a connection more: %d", got)
	}
	if err := Descriptors(s); err != nil && wantedConnections(s) <= mostConnections(s) {
		t.Errorf("enough, and told: %v", err)
	}
	few := conf.New()
	few.Listeners = []conf.Listener{{Protocol: conf.ProtocolSMTP, Limits: &conf.ListenerLimits{MaxConnections: mostConnections(few)}}}
	if err := Descriptors(few); err != nil {
		t.Errorf("just enough: %v", err)
	}
	few.Listeners[0].Limits.MaxConnections++
	if err := Descriptors(few); err == nil {
		t.Error("one too many, and not told")
	}
}
