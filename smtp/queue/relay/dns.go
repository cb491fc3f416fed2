package relay

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// DNS is a Resolver that asks recursive servers.
type DNS struct {
	// Servers are asked in turn, "127.0.0.1:53". Without any there is no
	// answer; see ResolvConf.
	Servers []string
	// Trusted: the servers validate DNSSEC, and nobody can change their
	// answers on the way here, because they run on this host or behind a
	// tunnel. Only then is any answer Secure.
	Trusted bool
	// Timeout is the wait for one server; 5 seconds where zero. Each is asked
	// twice.
	Timeout time.Duration
	// Dial connects to a server; net.Dialer where nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

var _ Resolver = (*DNS)(nil)

// ResolvConf returns the servers of a resolv.conf(5) file.
func ResolvConf(name string) ([]string, error) {
	c, err := dns.ClientConfigFromFile(name)
	if err != nil {
		return nil, fmt.Errorf("read DNS servers: %w", err)
	}
	var servers []string
	for _, s := range c.Servers {
		servers = append(servers, net.JoinHostPort(s, c.Port))
	}
	return servers, nil
}

// MX implements Resolver.
func (r *DNS) MX(ctx context.Context, domain string) (Answer[MX], error) {
	return ask(ctx, r, domain, dns.TypeMX, func(rr dns.RR) (MX, bool) {
		mx, ok := rr.(*dns.MX)
		if !ok {
			return MX{}, false
		}
		return MX{strings.TrimSuffix(mx.Mx, "."), mx.Preference}, true
	})
}

// Addr implements Resolver. The answer is secure only if both halves are; one
// half that cannot be had does not spoil the other.
func (r *DNS) Addr(ctx context.Context, host string) (Answer[netip.Addr], error) {
	type half struct {
		a   Answer[netip.Addr]
		err error
	}
	v6 := make(chan half, 1)
	go func() {
		a, err := ask(ctx, r, host, dns.TypeAAAA, func(rr dns.RR) (netip.Addr, bool) {
			aaaa, ok := rr.(*dns.AAAA)
			if !ok {
				return netip.Addr{}, false
			}
			return netip.AddrFromSlice(aaaa.AAAA.To16())
		})
		v6 <- half{a, err}
	}()
	a, err := ask(ctx, r, host, dns.TypeA, func(rr dns.RR) (netip.Addr, bool) {
		v4, ok := rr.(*dns.A)
		if !ok {
			return netip.Addr{}, false
		}
		return netip.AddrFromSlice(v4.A.To4())
	})
	six := <-v6
	switch {
	case err != nil && six.err != nil:
		if errors.Is(err, ErrNoName) {
			err = six.err // of the two, the one that may pass
		}
		return a, err
	case err != nil:
		return six.a, errUnless(six.a.Records, err)
	case six.err != nil:
		return a, errUnless(a.Records, six.err)
	}
	a.Records = append(six.a.Records, a.Records...)
	a.Secure = a.Secure && six.a.Secure
	return a, nil
}

func errUnless(have []netip.Addr, err error) error {
	if len(have) > 0 {
		return nil
	}
	return err
}

// TXT implements Resolver. The strings of a record are joined (RFC 7208 §3.3,
// RFC 8461 §3.1).
func (r *DNS) TXT(ctx context.Context, name string) (Answer[string], error) {
	return ask(ctx, r, name, dns.TypeTXT, func(rr dns.RR) (string, bool) {
		txt, ok := rr.(*dns.TXT)
		if !ok {
			return "", false
		}
		return strings.Join(txt.Txt, ""), true
	})
}

// TLSA implements Resolver.
func (r *DNS) TLSA(ctx context.Context, name string) (Answer[TLSA], error) {
	return ask(ctx, r, name, dns.TypeTLSA, func(rr dns.RR) (TLSA, bool) {
		t, ok := rr.(*dns.TLSA)
		if !ok {
			return TLSA{}, false
		}
		data, err := hex.DecodeString(t.Certificate)
		return TLSA{t.Usage, t.Selector, t.MatchingType, data}, err == nil
	})
}

func ask[T any](ctx context.Context, r *DNS, name string, qtype uint16, pick func(dns.RR) (T, bool)) (Answer[T], error) {
	a := Answer[T]{Name: name}
	reply, err := r.exchange(ctx, name, qtype)
	if err != nil {
		return a, fmt.Errorf("look up %s of %s: %w", dns.TypeToString[qtype], name, err)
	}
	a.Secure = r.Trusted && reply.AuthenticatedData
	switch reply.Rcode {
	case dns.RcodeSuccess:
	case dns.RcodeNameError:
		return a, fmt.Errorf("look up %s of %s: %w", dns.TypeToString[qtype], name, ErrNoName)
	default:
		return a, fmt.Errorf("look up %s of %s: server says %s", dns.TypeToString[qtype], name, dns.RcodeToString[reply.Rcode])
	}
	owner, end := follow(reply.Answer, dns.CanonicalName(name))
	if end != "" {
		a.Name = end
	}
	for _, rr := range reply.Answer {
		if v, ok := pick(rr); ok && belongs(rr, owner) {
			a.Records = append(a.Records, v)
		}
	}
	return a, nil
}

// maxChain is the most CNAMEs that are followed.
const maxChain = 16

// follow goes through the CNAMEs of an answer, in whatever order they stand, to
// the name that the records are under. end is the same
// without the last dot, "" where there was no CNAME.
func follow(answer []dns.RR, name string) (owner, end string) {
	for range maxChain {
		i := slices.IndexFunc(answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeCNAME && belongs(rr, name) })
		if i < 0 {
			break
		}
		name = dns.CanonicalName(answer[i].(*dns.CNAME).Target)
		end = strings.TrimSuffix(name, ".")
	}
	return name, end
}

func belongs(rr dns.RR, owner string) bool {
	return rr.Header().Class == dns.ClassINET && dns.CanonicalName(rr.Header().Name) == owner
}

// exchange asks one server after the other, over UDP and, for an answer that
// does not fit, over TCP.
func (r *DNS) exchange(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, ErrNoName
	}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.SetEdns0(1232, r.Trusted) // DO: ask for the AD bit and get it
	m.AuthenticatedData = true
	err := errors.New("no DNS server is configured")
	var reply *dns.Msg
	for range 2 {
		for _, server := range r.Servers {
			reply, err = r.one(ctx, "udp", server, m)
			if err == nil && reply.Truncated {
				reply, err = r.one(ctx, "tcp", server, m)
			}
			if err == nil && reply.Rcode != dns.RcodeServerFailure && reply.Rcode != dns.RcodeRefused {
				return reply, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	return reply, err
}

func (r *DNS) one(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	q := m.Copy()
	q.Id = dns.Id()
	client := &dns.Client{Net: network, Timeout: timeout, UDPSize: 1232}
	reply, _, err := client.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn, UDPSize: 1232})
	if err == nil && !answers(reply, q) {
		return nil, fmt.Errorf("%s answers what was not asked", server)
	}
	return reply, err
}

// answers: a reply repeats the question (RFC 5452 §4.2), which is one thing more
// that a forger has to know.
func answers(reply, q *dns.Msg) bool {
	if !reply.Response || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], q.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && dns.CanonicalName(got.Name) == dns.CanonicalName(want.Name)
}
