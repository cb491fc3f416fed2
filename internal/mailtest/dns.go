package mailtest

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// ServeDNS is a DNS server on loopback until the test ends. handle gives the reply to a
// query that came over "udp" or "tcp", nil for none. Over UDP it is cut to what the query
// has room for: 512 octets without EDNS.
func ServeDNS(t testing.TB, handle func(q *dns.Msg, network string) *dns.Msg) (addr string) {
	t.Helper()
	return ServeDNSAt(t, "127.0.0.1:0", handle)
}

// ServeDNSAt is ServeDNS at an address.
func ServeDNSAt(t testing.TB, address string, handle func(q *dns.Msg, network string) *dns.Msg) (addr string) {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		_, udp := w.RemoteAddr().(*net.UDPAddr)
		network := "tcp"
		if udp {
			network = "udp"
		}
		m := handle(q, network)
		if m == nil {
			return
		}
		if udp {
			room := 512
			if opt := q.IsEdns0(); opt != nil {
				room = max(room, int(opt.UDPSize()))
			}
			m.Truncate(room)
		}
		w.WriteMsg(m)
	})
	for {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			l.Close() // the port is taken for UDP
			if !strings.HasSuffix(address, ":0") {
				t.Fatal(err)
			}
			continue
		}
		for _, s := range []*dns.Server{{Listener: l, Handler: handler}, {PacketConn: pc, Handler: handler}} {
			started := make(chan struct{})
			s.NotifyStartedFunc = func() { close(started) }
			go s.ActivateAndServe()
			<-started
			t.Cleanup(func() { s.Shutdown() })
		}
		return l.Addr().String()
	}
}

// Zone is what a recursive server knows: records by their name.
type Zone map[string][]dns.RR

// NewZone reads records as a zone file has them, "example.net. 60 IN MX 10 mx.example.net.".
// An SOA record is that of all names below it that have no records of a kind.
func NewZone(t testing.TB, records ...string) Zone {
	t.Helper()
	z := make(Zone)
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		wire := make([]byte, dns.MaxMsgSize)
		if _, err := dns.PackRR(rr, wire, 0, nil, false); err != nil {
			t.Fatal(err)
		}
		rr, _, _ = dns.UnpackRR(wire, 0) // names spelled as in queries
		name := dns.CanonicalName(rr.Header().Name)
		z[name] = append(z[name], rr)
	}
	return z
}

// Reply answers a query, CNAMEs followed. Names that begin with "servfail." fail.
func (z Zone) Reply(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	name, qtype := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	if strings.HasPrefix(name, "servfail.") {
		m.Rcode = dns.RcodeServerFailure
		return m
	}
	for range 20 {
		next := ""
		for _, rr := range z[name] {
			if c, ok := rr.(*dns.CNAME); ok && qtype != dns.TypeCNAME {
				m.Answer, next = append(m.Answer, rr), dns.CanonicalName(c.Target)
			} else if rr.Header().Rrtype == qtype {
				m.Answer, next = append(m.Answer, rr), ""
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	if z[name] == nil {
		m.Rcode = dns.RcodeNameError
	}
	if n := len(m.Answer); n == 0 || m.Answer[n-1].Header().Rrtype != qtype {
		m.Ns = z.soa(name)
	}
	return m
}

// soa is the SOA record of the zone that a name is in.
func (z Zone) soa(name string) []dns.RR {
	for i := 0; ; {
		for _, rr := range z[name[i:]] {
			if rr.Header().Rrtype == dns.TypeSOA {
				return []dns.RR{rr}
			}
		}
		next, end := dns.NextLabel(name, i)
		if end {
			return nil
		}
		i = next
	}
}
