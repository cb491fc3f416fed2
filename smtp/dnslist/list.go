package dnslist

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Resolver asks the DNS; *net.Resolver is one. Names are fully qualified, with a dot at the
// end, network is "ip4". A name that does not exist is a *net.DNSError with IsNotFound; every other
// error says that there was no answer.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// List is a DNS list. Its fields are not to be changed while it is asked; its methods may
// be called concurrently.
type List struct {
	// Name is what the list is called wherever somebody may read it; empty: as the Zone.
	Name string
	// Zone is what stands behind the question. It may hold the key that a customer of
	// the list has, and is shown nowhere if there is a Name.
	Zone string
	// Domains: the list knows names of domains, and no addresses (RFC 5782 §4).
	Domains bool
}

// String is the list's public name.
func (l *List) String() string {
	if l.Name != "" {
		return l.Name
	}
	return strings.Trim(l.Zone, ".")
}

// Address asks for an address of either family. It returns the codes of its entry, or none where it
// has none. An error is an *Error: the list has said nothing.
func (l *List) Address(ctx context.Context, r Resolver, a netip.Addr) ([]netip.Addr, error) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || l.Domains {
		return nil, &Error{List: l.String(), Reason: NoQuestion}
	}
	return l.ask(ctx, r, reverse(a))
}

// Domain asks for a domain, in A-labels, with the dot at the end or without. What cannot be part of a name in the
// DNS, an address above all, is not listed and not asked for.
func (l *List) Domain(ctx context.Context, r Resolver, domain string) ([]netip.Addr, error) {
	if !l.Domains {
		return nil, &Error{List: l.String(), Reason: NoQuestion}
	}
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if !isName(domain) || len(domain)+len(l.Zone) > 252 {
		return nil, nil
	}
	return l.ask(ctx, r, domain)
}

// ask asks for what stands before the zone.
func (l *List) ask(ctx context.Context, r Resolver, what string) ([]netip.Addr, error) {
	codes, err := r.LookupNetIP(ctx, "ip4", what+"."+strings.Trim(l.Zone, ".")+".")
	if len(codes) == 0 {
		var dns *net.DNSError
		if err == nil || errors.As(err, &dns) && dns.IsNotFound {
			return nil, nil
		}
		return nil, &Error{List: l.String(), Reason: NoAnswer} // what the resolver says names the zone, with the key
	}
	for i, c := range codes {
		codes[i] = c.Unmap()
		if reason := refusal(codes[i]); reason != 0 {
			return nil, &Error{List: l.String(), Reason: reason, Code: codes[i]}
		}
	}
	return codes, nil
}

// reverse is an address as lists want it: its octets, or the digits of an IPv6 address, the last
// of them first (RFC 5782 §2.1, §2.4).
func reverse(a netip.Addr) string {
	const digits = "0123456789abcdef"
	octets := a.AsSlice()
	name := make([]byte, 0, 64)
	for i := len(octets) - 1; i >= 0; i-- {
		if len(name) > 0 {
			name = append(name, '.')
		}
		if a.Is4() {
			name = strconv.AppendUint(name, uint64(octets[i]), 10)
		} else {
			name = append(name, digits[octets[i]&15], '.', digits[octets[i]>>4])
		}
	}
	return string(name)
}

// isName reports whether there can be a domain of this name: two labels at least, of what
// hosts are named with, and the last of them no number.
func isName(s string) bool {
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(c rune) bool {
			return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_')
		}) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(labels) > 1 && strings.Trim(last, "0123456789") != ""
}
