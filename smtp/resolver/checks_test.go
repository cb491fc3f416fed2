package resolver_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/resolver"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// All who ask the DNS about mail can ask through a Resolver.
var (
	_ spf.Resolver      = (*resolver.Resolver)(nil)
	_ dkim.Resolver     = (*resolver.Resolver)(nil)
	_ dmarc.Resolver    = (*resolver.Resolver)(nil)
	_ dmarc.NameExister = (*resolver.Resolver)(nil)
	_ relay.Resolver    = (*resolver.Resolver)(nil)
)

// TestMessage: what the checks of an ordinary message cost in queries, the first time and
// the second.
func TestMessage(t *testing.T) {
	zone := mailtest.NewZone(t, "example.net. 300 IN SOA ns.example.net. root.example.net. 1 1 1 1 300", `example.net. 300 IN TXT "v=spf1 include:a.example.net include:b.example.net -all"`,
		`a.example.net. 300 IN TXT "v=spf1 ip4:198.51.100.0/24 ~all"`, `b.example.net. 300 IN TXT "v=spf1 mx ~all"`, "b.example.net. 300 IN MX 10 mx.example.net.",
		"mx.example.net. 300 IN A 192.0.2.1", "1.2.0.192.in-addr.arpa. 300 IN PTR mx.example.net.", `s1._domainkey.example.net. 300 IN TXT "v=DKIM1; p=abc"`, `_dmarc.example.net. 300 IN TXT "v=DMARC1; p=reject"`)
	r := resolver.New(resolver.Config{Servers: []string{mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg { return zone.Reply(q) })}})
	ctx, addr := t.Context(), netip.MustParseAddr("192.0.2.1")
	var first int64
	for range 2 {
		names, err := r.LookupAddr(ctx, addr.String())
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		if back, err := r.LookupNetIP(ctx, "ip4", names[0]); err != nil || back[0] != addr {
			t.Fatal(back, err)
		}
		if o := spf.Check(ctx, spf.Query{IP: addr, Helo: "mx.example.net", MailFrom: "a@example.net"}, r); fmt.Sprint(o.Result) != "pass" {
			t.Fatalf("%+v", o)
		}
		for _, name := range []string{"s1._domainkey.example.net.", "_dmarc.example.net."} {
			if _, err := r.LookupTXT(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.NameExists(ctx, "example.net."); err != nil {
			t.Fatal(err)
		}
		if s := r.Stats(); first == 0 {
			if first = s.Queries; first > 12 {
				t.Errorf("%d queries", first)
			}
		} else if s.Queries != first {
			t.Errorf("%d queries when all is known", s.Queries-first)
		}
	}
	t.Logf("%d queries, then none", first)
}
