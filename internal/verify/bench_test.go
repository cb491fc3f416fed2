package verify

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// signedByA is the header of a message that a.test has signed, and the record of the key.
func signedByA(t testing.TB, header, body string) (section *rfc2822.Section, record string) {
	t.Helper()
	key, err := dkim.GenerateKey("rsa")
	if err != nil {
		t.Fatal(err)
	}
	text, err := dkim.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signing, err := (&dkim.Signer{Domain: "a.test", Keys: []dkim.SigningKey{{Selector: "s", Key: key}}}).Sign(header)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(signing, body)
	fields, err := signing.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if section, _, err = rfc2822.Peek(strings.NewReader(fields[0]+header), 0); err != nil {
		t.Fatal(err)
	}
	return section, `s._domainkey.a.test. 3600 IN TXT "` + text[:200] + `" "` + text[200:] + `"`
}

// BenchmarkMessage is everything that is looked at of a signed message of 2 kB whose sender
// the DNS is remembered of.
func BenchmarkMessage(b *testing.B) {
	header := "From: Ann <ann@a.test>\r\nTo: Bob <bob@home.test>\r\nSubject: a message\r\nDate: Mon, 30 Nov 2026 02:00:00 +0000\r\nMessage-ID: <x@a.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
	body := strings.Repeat("This is a line of some seventy octets which says nothing at all, ok.\r\n", 24)
	section, key := signedByA(b, header, body)
	zone := mailtest.NewZone(b, `a.test. 3600 IN TXT "v=spf1 include:b.test -all"`, `b.test. 3600 IN TXT "v=spf1 ip4:192.0.2.0/24 -all"`,
		`_dmarc.a.test. 3600 IN TXT "v=DMARC1; p=reject"`, key,
		`7.2.0.192.in-addr.arpa. 3600 IN PTR mx.a.test.`, `mx.a.test. 3600 IN A 192.0.2.7`, `mx.a.test. 3600 IN TXT "v=spf1 a -all"`)
	addr := mailtest.ServeDNS(b, func(q *dns.Msg, _ string) *dns.Msg { return zone.Reply(q) })
	asks := resolver.New(resolver.Config{Servers: []string{addr}})
	v := newVerifier(asks, &rules)
	v.Memory = asks.Memory()
	from, to := smtp.Path{Local: "ann", Domain: "a.test"}, smtp.Path{Local: "bob", Domain: "home.test"}
	b.ReportAllocs()
	for b.Loop() {
		s := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:4000"))}, Helo: "mx.a.test"}
		if err := v.Sender(b.Context(), s, from, false); err != nil {
			b.Fatal(err)
		}
		e := &smtp.Envelope{Session: s, ID: "s-1", From: from, To: []smtp.Recipient{{Path: to}}}
		i := v.Inspect(b.Context(), &post.Look{Envelope: e, Header: section})
		io.WriteString(i, body)
		found, err := i.Findings(b.Context())
		if err != nil || !strings.Contains(found.Results[0], "dmarc=pass") {
			b.Fatal(found, err)
		}
	}
}
