package resolver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// wire is a Dial that leads to a server within the test, which works under synctest as well.
// handle gives the reply to a query, nil for none.
func wire(handle func(q *dns.Msg, network, address string) *dns.Msg) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, network, address string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			c := &dns.Conn{Conn: theirs}
			for {
				q, err := c.ReadMsg()
				if err != nil {
					return
				}
				if m := handle(q, network, address); m != nil && c.WriteMsg(m) != nil {
					return
				}
			}
		}()
		return ours, nil
	}
}

// within is a Resolver over a wire.
func within(handle func(q *dns.Msg, network, address string) *dns.Msg) *Resolver {
	return New(Config{Servers: []string{"a"}, Dial: wire(handle)})
}

func asked(z mailtest.Zone) func(q *dns.Msg, network, address string) *dns.Msg {
	return func(q *dns.Msg, _, _ string) *dns.Msg { return z.Reply(q) }
}

func mustLookup(t *testing.T, r *Resolver, name, want string) {
	t.Helper()
	if got, err := r.LookupTXT(t.Context(), name); err != nil || strings.Join(got, "|") != want {
		t.Errorf("%s: %q, %v", name, got, err)
	}
}

func TestRecords(t *testing.T) {
	records := []string{
		"example.net. 60 IN MX 10 mx1.example.net.", "example.net. 60 IN MX 20 mx2.example.net.",
		"example.net. 60 IN SOA ns.example.net. root.example.net. 7 1 1 1 30", "example.net. 60 IN NS ns.example.net.",
		`example.net. 60 IN CAA 0 issue "ca.example"`,
		"null.example. 60 IN MX 0 .",
		"mx1.example.net. 60 IN A 192.0.2.1", "mx1.example.net. 60 IN AAAA 2001:db8::1",
		"mx2.example.net. 60 IN CNAME host.example.org.", "host.example.org. 60 IN A 192.0.2.2",
		`_mta-sts.example.net. 60 IN TXT "v=STSv1;" " id=1;"`, `odd.example. 60 IN TXT "a\"b\\c\000\255;"`,
		"_25._tcp.mx1.example.net. 60 IN TLSA 3 1 1 " + strings.Repeat("ab", 32),
	}
	for i := range 100 {
		records = append(records, "big.example. 60 IN MX 10 a-rather-long-host-name-number-"+string(rune('a'+i%26))+string(rune('a'+i/26))+".big.example.")
	}
	zone := mailtest.NewZone(t, records...)
	addr := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
		m := zone.Reply(q)
		m.AuthenticatedData = q.AuthenticatedData && q.IsEdns0() != nil && q.IsEdns0().Do()
		return m
	})
	r := New(Config{Servers: []string{addr}, Trusted: true})
	ctx := t.Context()

	mx, err := r.MX(ctx, "Example.net")
	if err != nil || len(mx.Records) != 2 || !slices.Contains(mx.Records, MX{"mx1.example.net", 10}) || !mx.Secure || mx.Name != "Example.net" || mx.TTL <= 0 || mx.TTL > time.Minute {
		t.Errorf("MX: %+v, %v", mx, err)
	}
	mx.Records[0] = MX{"changed", 1}
	if again, _ := r.MX(ctx, "example.net."); slices.Contains(again.Records, mx.Records[0]) {
		t.Error("what one caller changes, another one sees")
	}
	if mx, err := r.MX(ctx, "null.example"); err != nil || len(mx.Records) != 1 || mx.Records[0].Host != "" {
		t.Errorf("null MX: %+v, %v", mx, err)
	}
	if mx, err := r.MX(ctx, "mx1.example.net"); err != nil || len(mx.Records) != 0 {
		t.Errorf("no MX: %+v, %v", mx, err)
	}
	if mx, err := r.MX(ctx, "big.example"); err != nil || len(mx.Records) != 100 {
		t.Errorf("over TCP: %d, %v", len(mx.Records), err)
	}
	for _, name := range []string{"none.example", "", "a..b", strings.Repeat("a", 70) + ".example"} {
		if _, err := r.MX(ctx, name); !errors.Is(err, ErrNoName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := r.MX(ctx, "servfail.example"); err == nil || errors.Is(err, ErrNoName) || err.Error() != "look up MX of servfail.example: server says SERVFAIL" {
		t.Errorf("SERVFAIL: %v", err)
	}
	a, err := r.Addr(ctx, "mx1.example.net")
	if err != nil || len(a.Records) != 2 || !a.Secure || a.Name != "mx1.example.net" {
		t.Errorf("addresses: %+v, %v", a, err)
	}
	if a, err := r.Addr(ctx, "mx2.example.net"); err != nil || a.Name != "host.example.org" || !slices.Equal(a.Records, []netip.Addr{netip.MustParseAddr("192.0.2.2")}) {
		t.Errorf("CNAME: %+v, %v", a, err)
	}
	if _, err := r.Addr(ctx, "none.example"); !errors.Is(err, ErrNoName) {
		t.Errorf("no host: %v", err)
	}
	if txt, err := r.TXT(ctx, "_mta-sts.example.net"); err != nil || !slices.Equal(txt.Records, []string{"v=STSv1; id=1;"}) {
		t.Errorf("TXT: %+v, %v", txt, err)
	}
	mustLookup(t, r, "odd.example.", "a\"b\\c\x00\xff;")
	if tlsa, err := r.TLSA(ctx, "_25._tcp.mx1.example.net"); err != nil || len(tlsa.Records) != 1 || !tlsa.Secure || tlsa.Records[0].Usage != 3 || len(tlsa.Records[0].Data) != 32 {
		t.Errorf("TLSA: %+v, %v", tlsa, err)
	}
	if c, err := r.CNAME(ctx, "mx2.example.net"); err != nil || !slices.Equal(c.Records, []string{"host.example.org"}) || c.Name != "mx2.example.net" {
		t.Errorf("CNAME: %+v, %v", c, err)
	}
	if ns, err := r.NS(ctx, "example.net"); err != nil || !slices.Equal(ns.Records, []string{"ns.example.net"}) {
		t.Errorf("NS: %+v, %v", ns, err)
	}
	if soa, err := r.SOA(ctx, "example.net"); err != nil || !slices.Equal(soa.Records, []SOA{{"ns.example.net", "root.example.net", 7, 30 * time.Second}}) {
		t.Errorf("SOA: %+v, %v", soa, err)
	}
	if caa, err := r.Records(ctx, "example.net", "caa"); err != nil || !slices.Equal(caa.Records, []string{`0 issue "ca.example"`}) {
		t.Errorf("CAA: %+v, %v", caa, err)
	}
	if txt, err := r.Records(ctx, "_mta-sts.example.net", "TXT"); err != nil || !slices.Equal(txt.Records, []string{`"v=STSv1;" " id=1;"`}) {
		t.Errorf("TXT as text: %+v, %v", txt, err)
	}
	for _, kind := range []string{"ANY", "AXFR", "NONSENSE"} {
		if _, err := r.Records(ctx, "example.net", kind); err == nil {
			t.Errorf("%s is asked for", kind)
		}
	}
	if mx, err := New(Config{Servers: []string{addr}}).MX(ctx, "example.net"); err != nil || mx.Secure {
		t.Errorf("a server that is not trusted is believed: %+v, %v", mx, err)
	}
}

// TestLookup: the methods of *net.Resolver, with its names and errors.
func TestLookup(t *testing.T) {
	zone := mailtest.NewZone(t, "example.net. 60 IN MX 20 b.example.net.", "example.net. 60 IN MX 10 a.example.net.", `example.net. 60 IN MX 1 a\.b\032c.example.net.`,
		"null.example. 60 IN MX 0 .", "a.example.net. 60 IN A 192.0.2.1", "a.example.net. 60 IN AAAA 2001:db8::1", "four.example.net. 60 IN A 192.0.2.4",
		"1.2.0.192.in-addr.arpa. 60 IN PTR a.example.net.", `1.2.0.192.in-addr.arpa. 60 IN PTR evil\013\010name.example.`, `example.net. 60 IN TXT "x"`,
		`o\'neil\@x\032y\195\188.example. 60 IN TXT "odd"`, "alias.example.net. 60 IN CNAME nowhere.example.net.", "bad.example.net. 60 IN CNAME servfail.example.net.")
	r := within(asked(zone))
	ctx := t.Context()
	mx, err := r.LookupMX(ctx, "EXAMPLE.net.")
	if err != nil || len(mx) != 2 || *mx[0] != (net.MX{Host: "a.example.net.", Pref: 10}) || *mx[1] != (net.MX{Host: "b.example.net.", Pref: 20}) {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if mx, err := r.LookupMX(ctx, "null.example."); err != nil || len(mx) != 1 || mx[0].Host != "." {
		t.Errorf("null MX: %v, %v", mx, err)
	}
	for _, tt := range []struct{ network, host, want string }{
		{"ip4", "a.example.net.", "[192.0.2.1]"}, {"ip6", "a.example.net", "[2001:db8::1]"}, {"ip", "a.example.net.", "[2001:db8::1 192.0.2.1]"},
		{"ip", "four.example.net.", "[192.0.2.4]"}, {"ip4", "192.0.2.9", "[192.0.2.9]"}, {"ip", "::1", "[::1]"},
		{"ip6", "four.example.net.", "void"}, {"ip6", "192.0.2.9", "void"}, {"ip4", "none.example.", "void"}, {"ip", "none.example.", "void"}, {"ip", "example.net.", "void"},
		{"ip4", "servfail.example.", "temporary"}, {"ip", "servfail.example.", "temporary"}, {"ip5", "a.example.net.", "error"},
	} {
		addrs, err := r.LookupNetIP(ctx, tt.network, tt.host)
		if got := outcome(fmt.Sprint(addrs), err); got != tt.want {
			t.Errorf("%s of %s: %s, want %s: %v", tt.network, tt.host, got, tt.want, err)
		}
	}
	if names, err := r.LookupAddr(ctx, "192.0.2.1"); err != nil || !slices.Equal(names, []string{"a.example.net."}) {
		t.Errorf("PTR: %q, %v", names, err)
	}
	for name, want := range map[string]string{"192.0.2.2": "void", "nonsense": "void", "2001:db8::1": "void"} {
		if names, err := r.LookupAddr(ctx, name); outcome(fmt.Sprint(names), err) != want {
			t.Errorf("PTR of %s: %q, %v", name, names, err)
		}
	}
	for name, want := range map[string]string{"example.net.": "[x]", "four.example.net.": "void", "none.example.": "void", "servfail.example.": "temporary", "alias.example.net.": "void"} {
		if txt, err := r.LookupTXT(ctx, name); outcome(fmt.Sprint(txt), err) != want {
			t.Errorf("TXT of %s: %q, %v", name, txt, err)
		}
	}
	for _, name := range []string{"O'Neil@x yü.example.", `o\'neil\@x\ y\195\188.example`} {
		mustLookup(t, r, name, "odd")
	}
	for name, want := range map[string]string{"example.net.": "true", "four.example.net.": "true", "none.example.": "false", "new.example.": "false", "servfail.new.": "temporary",
		"servfail.example.": "temporary", "alias.example.net.": "false"} {
		for range 2 {
			if is, err := r.NameExists(ctx, name); outcome(fmt.Sprint(is), err) != want {
				t.Errorf("%s exists: %v, %v", name, is, err)
			}
		}
	}
}

// outcome sorts an answer as SPF does.
func outcome(found string, err error) string {
	var e *net.DNSError
	switch {
	case err == nil:
		return found
	case !errors.As(err, &e) || !e.IsNotFound && !e.IsTemporary:
		return "error"
	case e.IsNotFound:
		return "void"
	}
	return "temporary"
}

// TestServers: what DNS servers and the way to them are like.
func TestServers(t *testing.T) {
	key := make([]byte, 550)
	rand.Read(key)
	long := "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(key) // of 4,096 bits
	var cut []string
	for rest := long; rest != ""; rest = rest[min(255, len(rest)):] {
		cut = append(cut, `"`+rest[:min(255, len(rest))]+`"`)
	}
	zone := mailtest.NewZone(t, "s._domainkey.example.net. 60 IN TXT "+strings.ReplaceAll(strings.Join(cut, " "), ";", `\;`),
		"one.example. 60 IN CNAME two.example.", "two.example. 60 IN CNAME three.example.", "three.example. 60 IN CNAME s._domainkey.example.net.")
	noEDNS := func(code int, echo bool) func(q *dns.Msg, network string) *dns.Msg {
		return func(q *dns.Msg, _ string) *dns.Msg {
			if q.IsEdns0() == nil {
				return zone.Reply(q)
			}
			m := new(dns.Msg).SetRcode(q, code)
			if code > 15 {
				m.SetEdns0(512, false)
			}
			if !echo {
				m.Question = nil
			}
			return m
		}
	}
	all := func(q *dns.Msg, _ string) *dns.Msg { return zone.Reply(q) }
	formerr := noEDNS(dns.RcodeFormatError, true)
	for name, tt := range map[string]struct {
		handle  func(q *dns.Msg, network string) *dns.Msg
		queries int64 // for the key, which 512 octets have no room for
	}{
		"ordinary":      {all, 1},
		"FORMERR":       {formerr, 3},
		"FORMERR, bare": {noEDNS(dns.RcodeFormatError, false), 3},
		"NOTIMP":        {noEDNS(dns.RcodeNotImplemented, true), 3},
		"BADVERS":       {noEDNS(dns.RcodeBadVers, true), 3},
		"SERVFAIL":      {noEDNS(dns.RcodeServerFailure, true), 2},
		"EDNS dropped":  {func(q *dns.Msg, _ string) *dns.Msg { return unless(q.IsEdns0() != nil, zone.Reply(q)) }, 2},
		"UDP dropped":   {func(q *dns.Msg, network string) *dns.Msg { return unless(network == "udp", zone.Reply(q)) }, 2},
		"512 octets":    {func(q *dns.Msg, _ string) *dns.Msg { q.Extra = nil; return zone.Reply(q) }, 2},
		"step by step":  {func(q *dns.Msg, _ string) *dns.Msg { return step(zone, q) }, 1},
		"AA, no RA": {func(q *dns.Msg, _ string) *dns.Msg {
			m := zone.Reply(q)
			m.Authoritative = true
			m.RecursionAvailable = false
			return m
		}, 1},
		"other case":     {func(q *dns.Msg, _ string) *dns.Msg { return shouting(zone.Reply(q)) }, 1},
		"order reversed": {func(q *dns.Msg, _ string) *dns.Msg { m := zone.Reply(q); slices.Reverse(m.Answer); return m }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := New(Config{Servers: []string{mailtest.ServeDNS(t, tt.handle)}, Timeout: 200 * time.Millisecond})
			mustLookup(t, r, "s._domainkey.example.net.", long)
			if n := r.Stats().Queries; n != tt.queries {
				t.Errorf("%d queries", n)
			}
			mustLookup(t, r, "one.example.", long)
			if a, err := r.TXT(t.Context(), "one.example"); err != nil || a.Name != "s._domainkey.example.net" {
				t.Errorf("%+v, %v", a, err)
			}
			if _, err := r.LookupTXT(t.Context(), "none.example."); outcome("", err) != "void" {
				t.Error(err)
			}
		})
	}
	r := New(Config{Servers: []string{mailtest.ServeDNS(t, func(q *dns.Msg, network string) *dns.Msg {
		return unless(network == "tcp", formerr(q, network))
	})}, Timeout: 200 * time.Millisecond})
	if _, err := r.LookupTXT(t.Context(), "none.example."); outcome("", err) != "void" {
		t.Errorf("neither EDNS nor TCP: %v", err)
	}
	for name, handle := range map[string]func(q *dns.Msg, network string) *dns.Msg{
		"SERVFAIL": func(q *dns.Msg, _ string) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure) },
		"REFUSED":  func(q *dns.Msg, _ string) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeRefused) },
		"silence":  func(*dns.Msg, string) *dns.Msg { return nil },
		"no TCP for long answers": func(q *dns.Msg, network string) *dns.Msg {
			return unless(network == "tcp", &dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Id, Response: true, Truncated: true}, Question: q.Question})
		},
		"cut off": func(q *dns.Msg, _ string) *dns.Msg { m := zone.Reply(q); m.Answer = nil; m.Truncated = true; return m },
		"a referral": func(q *dns.Msg, _ string) *dns.Msg {
			m := new(dns.Msg).SetReply(q)
			m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "net.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "a.root.example."}}
			return m
		},
		"another question": func(q *dns.Msg, _ string) *dns.Msg {
			m := zone.Reply(q)
			m.Question[0].Name = "other.example."
			return m
		},
		"another id": func(q *dns.Msg, _ string) *dns.Msg { m := zone.Reply(q); m.Id++; return m },
		"a query":    func(q *dns.Msg, _ string) *dns.Msg { m := zone.Reply(q); m.Response = false; return m },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := New(Config{Servers: []string{mailtest.ServeDNS(t, handle)}, Timeout: 50 * time.Millisecond})
			if txt, err := r.LookupTXT(t.Context(), "s._domainkey.example.net."); outcome(fmt.Sprint(txt), err) != "temporary" {
				t.Errorf("%q, %v", txt, err)
			}
			if r.Stats().Failures != 1 {
				t.Errorf("%+v", r.Stats())
			}
		})
	}
	if txt, err := New(Config{}).LookupTXT(t.Context(), "example.net."); outcome(fmt.Sprint(txt), err) != "temporary" {
		t.Errorf("without a server: %v", err)
	}
}

func unless(no bool, m *dns.Msg) *dns.Msg {
	if no {
		return nil
	}
	return m
}

// step follows no CNAME.
func step(z mailtest.Zone, q *dns.Msg) *dns.Msg {
	m := z.Reply(q)
	if len(m.Answer) > 1 {
		m.Answer = m.Answer[:1]
	}
	return m
}

func shouting(m *dns.Msg) *dns.Msg {
	m.Question[0].Name = strings.ToUpper(m.Question[0].Name)
	for _, rr := range m.Answer {
		rr = dns.Copy(rr)
		rr.Header().Name = strings.ToUpper(rr.Header().Name)
	}
	return m
}

// TestSilentServers: nobody waits for longer than 20 seconds, whatever is silent; and what is
// known to be silent is asked in another way or later.
func TestSilentServers(t *testing.T) {
	zone := mailtest.NewZone(t, `example.net. 60 IN TXT "x"`, `example.org. 60 IN TXT "y"`)
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Servers: []string{"a", "b", "c"}, Dial: wire(func(*dns.Msg, string, string) *dns.Msg { return nil })})
		start := time.Now()
		if _, err := r.LookupTXT(t.Context(), "example.net."); outcome("", err) != "temporary" || time.Since(start) != limit {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		start = time.Now()
		if _, err := r.LookupTXT(t.Context(), "example.net."); outcome("", err) != "temporary" || time.Since(start) != 0 {
			t.Errorf("remembered: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := r.LookupTXT(ctx, "example.org."); !errors.Is(err, context.DeadlineExceeded) || outcome("", err) != "temporary" || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		synctest.Wait()

		var mu sync.Mutex
		var order []string
		r = New(Config{Servers: []string{"a", "b"}, Dial: wire(func(q *dns.Msg, network, address string) *dns.Msg {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, network+" "+address)
			return unless(network == "udp" || !strings.HasPrefix(address, "b"), zone.Reply(q))
		})})
		start = time.Now()
		mustLookup(t, r, "example.net.", "x")
		if time.Since(start) != 15*time.Second {
			t.Errorf("%v", time.Since(start))
		}
		start = time.Now()
		mustLookup(t, r, "example.org.", "y")
		if time.Since(start) != 0 {
			t.Errorf("the second time it takes %v", time.Since(start))
		}
		if want := "udp a:53 udp b:53 tcp a:53 tcp b:53 tcp b:53"; strings.Join(order, " ") != want {
			t.Errorf("%s, want %s", strings.Join(order, " "), want)
		}
	})
}

// TestForgedDatagrams: what does not have the query's id is no answer, and the answer behind it
// is waited for.
func TestForgedDatagrams(t *testing.T) {
	zone, evil := mailtest.NewZone(t, `example.net. 60 IN TXT "x"`), mailtest.NewZone(t, `example.net. 60 IN TXT "evil"`)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		p := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFrom(p)
			q := new(dns.Msg)
			if err != nil || q.Unpack(p[:n]) != nil {
				return
			}
			conn.WriteTo([]byte("x"), from)
			conn.WriteTo(bytes.Repeat([]byte{0xc0}, 100), from)
			for _, m := range []*dns.Msg{evil.Reply(q), zone.Reply(q)} {
				if m.Answer[0].String() == evil.Reply(q).Answer[0].String() {
					m.Id++
				}
				packed, _ := m.Pack()
				conn.WriteTo(packed, from)
			}
		}
	}()
	r := New(Config{Servers: []string{conn.LocalAddr().String()}})
	mustLookup(t, r, "example.net.", "x")
	if s := r.Stats(); s.Queries != 1 {
		t.Errorf("%+v", s)
	}
}

// TestSecondServer: a server that fails is not the end.
func TestSecondServer(t *testing.T) {
	zone := mailtest.NewZone(t, "example.net. 60 IN MX 10 mx.example.net.")
	good := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg { return zone.Reply(q) })
	bad := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeRefused) })
	r := New(Config{Servers: []string{bad, good}, Trusted: true})
	if mx, err := r.MX(t.Context(), "example.net"); err != nil || len(mx.Records) != 1 || mx.Secure {
		t.Errorf("%+v, %v", mx, err)
	}
	if s := r.Stats(); s.Queries != 2 {
		t.Errorf("%+v", s)
	}
	// One that has no room for its answer has it over TCP, before another is asked.
	mute := mailtest.ServeDNS(t, func(*dns.Msg, string) *dns.Msg { return nil })
	cut := mailtest.ServeDNS(t, func(q *dns.Msg, network string) *dns.Msg {
		m := zone.Reply(q)
		if network == "udp" {
			m.Answer, m.Truncated = nil, true
		}
		return m
	})
	r = New(Config{Servers: []string{cut, mute}, Timeout: 200 * time.Millisecond})
	if mx, err := r.MX(t.Context(), "example.net"); err != nil || len(mx.Records) != 1 || r.Stats().Timeouts > 0 || r.Stats().TCP != 1 {
		t.Errorf("%+v, %v, %+v", mx, err, r.Stats())
	}
}

func TestAt(t *testing.T) {
	zone := mailtest.NewZone(t, "example.net. 3600 IN SOA ns.example.net. root.example.net. 7 1 1 1 30", "example.net. 60 IN NS ns.example.net.", "www.example.net. 60 IN CNAME example.org.")
	lame := false
	var queries, recursive int
	r := New(Config{Servers: []string{"192.0.2.1"}, Trusted: true, Dial: wire(func(q *dns.Msg, _, address string) *dns.Msg {
		queries++
		m := zone.Reply(q)
		if q.RecursionDesired {
			recursive++
		}
		if len(m.Answer) > 0 {
			m.Rcode = dns.RcodeSuccess // of what an alias leads to elsewhere it knows nothing
		}
		m.Authoritative, m.RecursionAvailable, m.AuthenticatedData = !lame && address == "192.0.2.53:53", false, true
		return m
	})})
	at := r.At("192.0.2.53")
	for range 2 {
		if soa, err := at.SOA(t.Context(), "example.net"); err != nil || len(soa.Records) != 1 || soa.Secure || !soa.Authoritative || soa.TTL != time.Hour {
			t.Errorf("%+v, %v", soa, err)
		}
	}
	if queries != 2 || recursive != 0 || r.Stats().Queries != 2 || at.Stats().Entries != 0 {
		t.Errorf("%d queries, %d recursive, %+v", queries, recursive, r.Stats())
	}
	if txt, err := at.TXT(t.Context(), "www.example.net"); err != nil || len(txt.Records) != 0 || txt.Name != "example.org" {
		t.Errorf("an alias that leads elsewhere: %+v, %v", txt, err)
	}
	lame = true
	if soa, err := at.SOA(t.Context(), "example.net"); err == nil || !strings.Contains(err.Error(), "not authoritative") {
		t.Errorf("a lame server: %+v, %v", soa, err)
	}
	if soa, err := r.SOA(t.Context(), "example.net"); err != nil || soa.Authoritative || !soa.Secure {
		t.Errorf("%+v, %v", soa, err)
	}
}

func TestReconfigure(t *testing.T) {
	text := map[string]string{"192.0.2.1:53": "one", "[2001:db8::2]:53": "two"}
	dial := wire(func(q *dns.Msg, _, address string) *dns.Msg {
		return mailtest.NewZone(t, `example.net. 60 IN TXT "`+text[address]+`"`).Reply(q)
	})
	r := New(Config{Servers: []string{"192.0.2.1"}, Dial: dial})
	mustLookup(t, r, "example.net.", "one")
	r.Reconfigure(Config{Servers: []string{"2001:db8::2"}, Dial: dial})
	mustLookup(t, r, "example.net.", "two")

	addr := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
		return mailtest.NewZone(t, `example.net. 60 IN TXT "x"`).Reply(q)
	})
	r = New(Config{Servers: []string{addr}})
	mustLookup(t, r, "example.net.", "x")
	r.Reconfigure(Config{Servers: []string{addr}})
	if mustLookup(t, r, "example.net.", "x"); r.Stats().Queries != 1 {
		t.Error("the same settings: what was known is forgotten")
	}
	r.Reconfigure(Config{Servers: []string{addr}, Trusted: true})
	if mustLookup(t, r, "example.net.", "x"); r.Stats().Queries != 2 {
		t.Error("trust has changed: what was known is remembered")
	}
}

// TestAnswerOfAnother: only what was asked for is an answer, and only what
// belongs to the name.
func TestAnswerOfAnother(t *testing.T) {
	rr := func(s string) dns.RR {
		r, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	addr := mailtest.ServeDNS(t, func(query *dns.Msg, _ string) *dns.Msg {
		m, q := new(dns.Msg).SetReply(query), query.Question[0]
		switch q.Name {
		case "shuffled.example.":
			m.Answer = []dns.RR{rr("c.example. 60 IN A 192.0.2.3"), rr("b.example. 60 IN CNAME c.example."), rr("Shuffled.example. 60 IN CNAME B.example."),
				rr("stray.example. 60 IN A 192.0.2.66")}
			if q.Qtype == dns.TypeAAAA {
				m.Answer = m.Answer[1:3]
			}
		case "circle.example.":
			m.Answer = []dns.RR{rr("circle.example. 60 IN CNAME round.example."), rr("round.example. 60 IN CNAME circle.example.")}
		case "question.example.":
			m.Question[0].Name = "other.example."
			m.Answer = []dns.RR{rr("other.example. 60 IN MX 10 evil.example.")}
		case "class.example.":
			m.Answer = []dns.RR{rr("class.example. 60 CH MX 10 evil.example.")}
		case "half.example.":
			m.Rcode = dns.RcodeNameError
			if q.Qtype == dns.TypeAAAA {
				m.Rcode = dns.RcodeServerFailure
			}
		}
		return m
	})
	r := New(Config{Servers: []string{addr}, Trusted: true, Timeout: 200 * time.Millisecond})
	a, err := r.Addr(t.Context(), "shuffled.example")
	if err != nil || a.Name != "c.example" || !slices.Equal(a.Records, []netip.Addr{netip.MustParseAddr("192.0.2.3")}) {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := r.Addr(t.Context(), "circle.example"); err == nil || errors.Is(err, ErrNoName) || len(a.Records) > 0 {
		t.Errorf("%+v", a)
	}
	for _, name := range []string{"question.example", "class.example"} {
		if a, err := r.MX(t.Context(), name); len(a.Records) > 0 {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if _, err := r.MX(t.Context(), "question.example"); err == nil || errors.Is(err, ErrNoName) {
		t.Errorf("the answer to another question is one: %v", err)
	}
	if _, err := r.Addr(t.Context(), "half.example"); err == nil || errors.Is(err, ErrNoName) {
		t.Errorf("a server that fails says that there is no such name: %v", err)
	}
}

func TestResolvConf(t *testing.T) {
	name := filepath.Join(t.TempDir(), "resolv.conf")
	os.WriteFile(name, []byte("# x\nnameserver 127.0.0.53\nnameserver ::1\noptions edns0\n"), 0o600)
	servers, err := ResolvConf(name)
	if err != nil || !slices.Equal(servers, []string{"127.0.0.53:53", "[::1]:53"}) {
		t.Errorf("%v, %v", servers, err)
	}
	if _, err := ResolvConf(name + ".none"); err == nil {
		t.Error("a file that is not there is read")
	}
}
