package sign

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// TestWatch: each server of the zone is asked for itself, at each of its addresses, an alias leads to the servers of
// its target's zone, and where no server can be reached the resolver says what it knows.
func TestWatch(t *testing.T) {
	const resolves = "192.0.2.53:53"
	root := mailtest.NewZone(t,
		"mail.test. 60 IN NS ns1.mail.test.", "mail.test. 60 IN NS ns2.mail.test.",
		"ns1.mail.test. 60 IN A 192.0.2.1", "ns2.mail.test. 60 IN A 192.0.2.2",
		"other.test. 60 IN NS ns.other.test.", "ns.other.test. 60 IN A 192.0.2.3",
		"lost.test. 60 IN NS ns.lost.test.", "ns.lost.test. 60 IN A 192.0.2.9",
		`s._domainkey.lost.test. 60 IN TXT "from the resolver"`,
		`s._domainkey.mail.test. 60 IN TXT "as remembered"`,
		"dangling.test. 60 IN NS ns.nowhere.test.",
		"twofold.test. 60 IN NS ns.twofold.test.", "ns.twofold.test. 60 IN A 192.0.2.4", "ns.twofold.test. 60 IN A 192.0.2.5", "ns.twofold.test. 60 IN AAAA 2001:db8::9",
	)
	at := map[string]mailtest.Zone{
		resolves:       root,
		"192.0.2.1:53": mailtest.NewZone(t, `s._domainkey.mail.test. 60 IN TXT "one" "two"`, "a._domainkey.mail.test. 60 IN CNAME k.other.test.", "r._domainkey.mail.test. 60 IN CNAME r._domainkey.mail.test."),
		"192.0.2.2:53": mailtest.NewZone(t, "mail.test. 60 IN NS ns1.mail.test."),
		"192.0.2.4:53": mailtest.NewZone(t, `s._domainkey.twofold.test. 60 IN TXT "new"`),
		"192.0.2.5:53": mailtest.NewZone(t, `s._domainkey.twofold.test. 60 IN TXT "old"`),
		"192.0.2.3:53": mailtest.NewZone(t, `k.other.test. 60 IN TXT "of the other zone"`),
	}
	d := DNS{resolver.New(resolver.Config{Servers: []string{resolves}, Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		z, ok := at[address]
		if !ok {
			return nil, &net.OpError{Op: "dial", Err: net.UnknownNetworkError("away")}
		}
		addr := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
			m := z.Reply(q)
			m.Authoritative = true
			return m
		})
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", addr)
	}})}
	for name, want := range map[string]string{
		"s._domainkey.mail.test.": "ns1.mail.test: onetwo; ns2.mail.test: ",
		"a._domainkey.mail.test.": "ns.other.test: of the other zone",
		"s._domainkey.lost.test.": "ns.lost.test away; the resolver: from the resolver",
		"x.dangling.test.":        "ns.nowhere.test away; the resolver: ",
		// Several machines under one name, of which one cannot be reached from here.
		"s._domainkey.twofold.test.": "ns.twofold.test: new; ns.twofold.test: old",
	} {
		all, err := d.Watch(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, a := range all {
			if a.Err != nil {
				got = append(got, a.Server+" away")
				continue
			}
			got = append(got, a.Server+": "+strings.Join(slices.Sorted(slices.Values(a.Records)), ", "))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	if _, err := d.Watch(t.Context(), "r._domainkey.mail.test."); err == nil {
		t.Error("an alias of itself ended")
	}
	if all, err := d.Watch(t.Context(), "s._domainkey.nozone.example."); err == nil {
		t.Errorf("a name in no zone: %+v", all)
	}
}
