package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// nameserver is a DNS server on loopback that knows some records and follows
// CNAMEs, as a recursive one does.
func nameserver(t *testing.T, ad bool, records ...string) (addr string, asked *atomic.Int32) {
	t.Helper()
	zone := map[string][]dns.RR{}
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		zone[rr.Header().Name] = append(zone[rr.Header().Name], rr)
	}
	asked = new(atomic.Int32)
	addr = serveDNS(t, func(m *dns.Msg, q dns.Question) {
		asked.Add(1)
		m.AuthenticatedData = ad
		name := strings.ToLower(q.Name)
		if strings.HasPrefix(name, "servfail.") {
			m.Rcode = dns.RcodeServerFailure
		} else if zone[name] == nil {
			m.Rcode = dns.RcodeNameError
		}
		for range 5 {
			next := ""
			for _, rr := range zone[name] {
				if c, ok := rr.(*dns.CNAME); ok {
					m.Answer, next = append(m.Answer, rr), c.Target
				} else if rr.Header().Rrtype == q.Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
			name = next
		}
	})
	return addr, asked
}

// serveDNS is a DNS server on loopback, whose answers fill fills in.
func serveDNS(t *testing.T, fill func(m *dns.Msg, q dns.Question)) (addr string) {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		fill(m, q.Question[0])
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			m.Truncate(512)
		}
		w.WriteMsg(m)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Skip("the port is taken for UDP")
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

func TestDNS(t *testing.T) {
	records := []string{
		"example.net. 60 IN MX 10 mx1.example.net.", "example.net. 60 IN MX 20 mx2.example.net.",
		"null.example. 60 IN MX 0 .",
		"mx1.example.net. 60 IN A 192.0.2.1", "mx1.example.net. 60 IN AAAA 2001:db8::1",
		"mx2.example.net. 60 IN CNAME host.example.org.", "host.example.org. 60 IN A 192.0.2.2",
		`_mta-sts.example.net. 60 IN TXT "v=STSv1;" " id=1;"`,
		"_25._tcp.mx1.example.net. 60 IN TLSA 3 1 1 " + strings.Repeat("ab", 32),
	}
	for i := range 100 {
		records = append(records, "big.example. 60 IN MX 10 a-rather-long-host-name-number-"+string(rune('a'+i%26))+string(rune('a'+i/26))+".big.example.")
	}
	addr, _ := nameserver(t, true, records...)
	r := &DNS{Servers: []string{addr}, Trusted: true, Timeout: 2 * time.Second}
	ctx := t.Context()

	mx, err := r.MX(ctx, "example.net")
	if err != nil || len(mx.Records) != 2 || !slices.Contains(mx.Records, MX{"mx1.example.net", 10}) || !mx.Secure {
		t.Errorf("MX: %+v, %v", mx, err)
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
	if _, err := r.MX(ctx, "servfail.example"); err == nil || errors.Is(err, ErrNoName) || !strings.Contains(err.Error(), "SERVFAIL") {
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
	if tlsa, err := r.TLSA(ctx, "_25._tcp.mx1.example.net"); err != nil || len(tlsa.Records) != 1 || !tlsa.Secure || tlsa.Records[0].Usage != 3 || len(tlsa.Records[0].Data) != 32 {
		t.Errorf("TLSA: %+v, %v", tlsa, err)
	}
	r.Trusted = false
	if mx, err := r.MX(ctx, "example.net"); err != nil || mx.Secure {
		t.Errorf("a server that is not trusted is believed: %+v, %v", mx, err)
	}
}

// TestDNSFallback: a server that fails is not the end.
func TestDNSFallback(t *testing.T) {
	good, _ := nameserver(t, false, "example.net. 60 IN MX 10 mx.example.net.")
	l, err := net.ListenPacket("udp", "127.0.0.1:0") // never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := &DNS{Servers: []string{l.LocalAddr().String(), good}, Timeout: 50 * time.Millisecond, Trusted: true}
	if mx, err := r.MX(t.Context(), "example.net"); err != nil || len(mx.Records) != 1 || mx.Secure {
		t.Errorf("%+v, %v", mx, err)
	}
	if _, err := (&DNS{}).MX(t.Context(), "example.net"); err == nil || errors.Is(err, ErrNoName) {
		t.Errorf("without a server: %v", err)
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
