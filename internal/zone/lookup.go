package zone

import (
	"context"
	"net"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp/resolver"
)

// Lead returns where a CNAME at a name leads, or "".
func (c *Checker) Lead(ctx context.Context, name string) (string, error) {
	name = dns.CanonicalName(name)
	m, err := newAsker(c.Resolver).recurse(ctx, name, dns.TypeCNAME)
	if err != nil {
		return "", err
	}
	return alias(m, name), nil
}

// Lookup is what those ask who evaluate records as a stranger would: the same server as
// the asker, which wants answers as they come.
func (c *Checker) Lookup() *resolver.Resolver {
	return resolver.New(resolver.Config{Servers: []string{c.Resolver}, Timeout: patience})
}

// dial connects to a host that the resolver knows, at the first of its addresses that
// can be reached.
func (k *checking) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, ip)
	} else if addrs, err = k.lookup.LookupNetIP(ctx, "ip", host); err != nil {
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
