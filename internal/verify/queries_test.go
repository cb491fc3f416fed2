package verify

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// TestQueries: a plain mail, whose SPF has two includes, with one signature and the DMARC record of the organization, costs at
// most twelve queries where nothing is known, and none where all is.
func TestQueries(t *testing.T) {
	header := "From: Ann <ann@news.a.test>\r\nTo: Bob <bob@home.test>\r\nDate: Mon, 30 Nov 2026 02:00:00 +0000\r\n\r\n"
	section, key := signedByA(t, header, "Hello\r\n")
	zone := mailtest.NewZone(t, `news.a.test. 3600 IN TXT "v=spf1 include:b.test include:c.test -all"`, `b.test. 3600 IN TXT "v=spf1 ip4:198.51.100.0/24 -all"`,
		`c.test. 3600 IN TXT "v=spf1 ip4:192.0.2.0/24 -all"`, `_dmarc.a.test. 3600 IN TXT "v=DMARC1; p=reject"`,
		key,
		`7.2.0.192.in-addr.arpa. 3600 IN PTR mx.a.test.`, `mx.a.test. 3600 IN A 192.0.2.7`, `mx.a.test. 3600 IN TXT "v=spf1 a -all"`)
	var queries atomic.Int64
	addr := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg { queries.Add(1); return zone.Reply(q) })
	asks := resolver.New(resolver.Config{Servers: []string{addr}})
	v := newVerifier(asks, &rules)
	v.Memory = asks.Memory()
	from := smtp.Path{Local: "ann", Domain: "news.a.test"}
	for _, most := range []int64{12, 0} {
		before := queries.Load()
		s := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:4000"))}, Helo: "mx.a.test"}
		if err := v.Sender(t.Context(), s, from, false); err != nil {
			t.Fatal(err)
		}
		i := v.Inspect(t.Context(), &post.Look{Envelope: &smtp.Envelope{Session: s, ID: "s-1", From: from}, Header: section})
		io.WriteString(i, "Hello\r\n")
		found, err := i.Findings(t.Context())
		if err != nil || !strings.Contains(found.Results[0], "dmarc=pass") || !strings.Contains(found.Results[0], "spf=pass") || !strings.Contains(found.Results[0], "iprev=pass") {
			t.Fatal(found, err)
		}
		if n := queries.Load() - before; n > most || most > 0 && n == 0 {
			t.Errorf("%d queries, of at most %d", n, most)
		}
	}
}
