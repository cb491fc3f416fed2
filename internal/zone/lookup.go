package zone

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// lookups asks the resolver of an asker as net.Resolver does the system's, for those
// who evaluate records as a stranger would.
type lookups struct{ *asker }

// records are those of one type that the resolver has for a name, behind its CNAMEs.
func (l lookups) records(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	m, err := l.recurse(ctx, name, kind)
	fail := &net.DNSError{Name: trim(name), Server: l.resolver, IsTemporary: true}
	switch {
	case err != nil:
		fail.Err, fail.UnwrapErr = err.Error(), err
		return nil, fail
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		fail.Err = fmt.Sprintf("it answers %s", dns.RcodeToString[m.Rcode])
		return nil, fail
	}
	var found []dns.RR
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == kind {
			found = append(found, rr)
		}
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Name: trim(name), Server: l.resolver, Err: "no such record", IsNotFound: true}
	}
	return found, nil
}

// LookupTXT returns the texts of a name, each with its strings joined.
func (l lookups) LookupTXT(ctx context.Context, name string) (texts []string, err error) {
	found, err := l.records(ctx, name, dns.TypeTXT)
	for _, rr := range found {
		texts = append(texts, text(rr.(*dns.TXT)))
	}
	return texts, err
}

// LookupNetIP returns the addresses of a host; network is "ip4", "ip6" or "ip".
func (l lookups) LookupNetIP(ctx context.Context, network, host string) (all []netip.Addr, err error) {
	for kind, of := range map[uint16]string{dns.TypeA: "ip4", dns.TypeAAAA: "ip6"} {
		if network != of && network != "ip" {
			continue
		}
		found, failed := l.records(ctx, host, kind)
		if failed != nil && err == nil {
			err = failed
		}
		all = append(all, ipsOf(found, "")...)
	}
	if len(all) > 0 {
		err = nil
	}
	return all, err
}

// LookupMX returns where mail for a domain goes.
func (l lookups) LookupMX(ctx context.Context, name string) (all []*net.MX, err error) {
	found, err := l.records(ctx, name, dns.TypeMX)
	for _, rr := range found {
		mx := rr.(*dns.MX)
		all = append(all, &net.MX{Host: mx.Mx, Pref: mx.Preference})
	}
	return all, err
}

// LookupAddr returns the names of an address.
func (l lookups) LookupAddr(ctx context.Context, addr string) (names []string, err error) {
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		return nil, err
	}
	found, err := l.records(ctx, name, dns.TypePTR)
	for _, rr := range found {
		names = append(names, rr.(*dns.PTR).Ptr)
	}
	return names, err
}

// Lead returns where a CNAME at a name leads, or "".
func (c *Checker) Lead(ctx context.Context, name string) (string, error) {
	name = dns.CanonicalName(name)
	m, err := newAsker(c.Resolver).recurse(ctx, name, dns.TypeCNAME)
	if err != nil {
		return "", err
	}
	return alias(m, name), nil
}

// dial connects to a host that the resolver knows, at the first of its addresses that
// can be reached.
func (l lookups) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, ip)
	} else if addrs, err = l.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: dialTime}
	for _, ip := range addrs {
		var c net.Conn
		if c, err = d.DialContext(ctx, network, net.JoinHostPort(ip.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}
