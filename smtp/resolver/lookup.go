package resolver

import (
	"context"
	"net"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// shared returns the records that are remembered, which nobody may change.
func shared[T any](ctx context.Context, r *Resolver, name string, qtype uint16) ([]T, error) {
	res, err := r.lookup(ctx, question{name: canonical(name), qtype: qtype})
	if err != nil {
		return nil, err
	}
	if res.err != nil {
		return nil, res.err
	}
	records, _ := res.records.([]T)
	if len(records) == 0 {
		return nil, nothing(&result{state: noData}, question{name: canonical(name), qtype: qtype}).err
	}
	return records, nil
}

// LookupTXT returns the texts of a name, as *net.Resolver does, the strings of a record joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	texts, err := shared[string](ctx, r, name, dns.TypeTXT)
	return slices.Clone(texts), err
}

// LookupNetIP returns the addresses of a host, as *net.Resolver does: of the network
// "ip4" or "ip6", or of both for "ip". An address stands for itself. No file of hosts is asked, and no
// domain is searched: every name is a full one, with the dot at the end or without.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if network == "ip4" && !addr.Is4() || network == "ip6" && addr.Is4() {
			return nil, &net.DNSError{Err: "the address is of the other kind", Name: host, IsNotFound: true}
		}
		return []netip.Addr{addr}, nil
	}
	switch network {
	case "ip4":
		addrs, err := shared[netip.Addr](ctx, r, host, dns.TypeA)
		return slices.Clone(addrs), err
	case "ip6":
		addrs, err := shared[netip.Addr](ctx, r, host, dns.TypeAAAA)
		return slices.Clone(addrs), err
	case "ip":
		a, err := r.Addr(ctx, host)
		if e, ok := err.(*lookupError); ok {
			return nil, e.DNSError
		}
		if len(a.Records) == 0 {
			return nil, &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
		}
		return a.Records, nil
	}
	return nil, &net.DNSError{UnwrapErr: net.UnknownNetworkError(network), Err: "unknown network " + network, Name: host}
}

// LookupMX returns the mail exchangers of a domain by preference, as *net.Resolver does: with the dot at the
// end. Names that no host can have are left out.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	records, err := shared[MX](ctx, r, name, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	all := make([]net.MX, 0, len(records))
	list := make([]*net.MX, 0, len(records))
	for _, mx := range records {
		if host := mx.Host + "."; isHost(host) {
			all = append(all, net.MX{Host: host, Pref: mx.Preference})
			list = append(list, &all[len(all)-1])
		}
	}
	slices.SortStableFunc(list, func(a, b *net.MX) int { return int(a.Pref) - int(b.Pref) })
	return list, nil
}

// LookupAddr returns the names of an address, as *net.Resolver does: with the dot at the end. Names
// that no host can have are left out.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{UnwrapErr: err, Err: "not an address", Name: addr, IsNotFound: true}
	}
	names, err := shared[string](ctx, r, name, dns.TypePTR)
	return slices.Clone(names), err
}

// NameExists reports whether there is a name in the DNS, whatever records it has or has not:
// false is NXDOMAIN. Of an alias it says whether what it leads to exists.
func (r *Resolver) NameExists(ctx context.Context, name string) (bool, error) {
	q := question{name: canonical(name), qtype: dns.TypeA}
	if exists, known := r.now().knows(q.name); known {
		r.counts.lookups.Add(1)
		r.counts.hits.Add(1)
		return exists, nil
	}
	res, err := r.lookup(ctx, q)
	switch {
	case err != nil:
		return false, err
	case res.state == failed:
		return false, res.err
	}
	return res.state != noName, nil
}
