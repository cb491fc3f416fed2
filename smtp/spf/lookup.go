package spf

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// Resolver asks the DNS; *net.Resolver is one. Names are fully qualified, with a dot
// at the end. A name that does not exist, or has no record of the type, is a
// *net.DNSError with IsNotFound; every other error is temporary. The strings of a TXT
// record are joined. Records that come together with an error count, and the error
// does not, as where net.Resolver leaves out names that are none.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) // network is "ip4" or "ip6"
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// answered sorts what a query came to: an error if it is temporary; nothing found is
// noted against the term that asked.
func (e *evaluation) answered(found int, err error) error {
	if found > 0 {
		return nil
	}
	var notFound *net.DNSError
	if err != nil && !(errors.As(err, &notFound) && notFound.IsNotFound) {
		return err
	}
	e.void = true
	return nil
}

func (e *evaluation) txt(name string) ([]string, error) {
	if !isName(name) {
		return nil, nil
	}
	e.bill.Queries++
	list, err := e.checker.Resolver.LookupTXT(e.ctx, name+".")
	return list, e.answered(len(list), err)
}

// addresses asks for the addresses of a name of one family, "ip4" or "ip6".
func (e *evaluation) addresses(network, name string) ([]netip.Addr, error) {
	if !isName(name) {
		return nil, nil
	}
	e.bill.Queries++
	list, err := e.checker.Resolver.LookupNetIP(e.ctx, network, name+".")
	return list, e.answered(len(list), err)
}

func (e *evaluation) mx(name string) ([]*net.MX, error) {
	if !isName(name) {
		return nil, nil
	}
	e.bill.Queries++
	list, err := e.checker.Resolver.LookupMX(e.ctx, name+".")
	return list, e.answered(len(list), err)
}

// family is the network of the client's address: the other family is never asked for.
func (e *evaluation) family() string {
	if e.ip.Is4() {
		return "ip4"
	}
	return "ip6"
}

// validated returns those of the first names of the client's address that have it in
// turn (§5.5). It asks once in an evaluation. What the DNS does not answer is no name.
func (e *evaluation) validated() []string {
	if e.namesKnown {
		return e.names
	}
	e.namesKnown = true
	e.bill.Queries++
	list, err := e.checker.Resolver.LookupAddr(e.ctx, e.ip.String())
	if e.answered(len(list), err) != nil {
		return nil
	}
	for _, name := range list[:min(len(list), MaxHosts)] {
		name = strings.TrimSuffix(name, ".")
		found, err := e.addresses(e.family(), name)
		if err == nil && contains(found, e.ip, e.ip.BitLen()) {
			e.names = append(e.names, name)
		}
	}
	return e.names
}

// validatedName is the macro p (§7.3): the domain itself, a name below it, any other
// name, or "unknown".
func (e *evaluation) validatedName(domain string) string {
	names := e.validated()
	for _, name := range names {
		if strings.EqualFold(name, domain) {
			return name
		}
	}
	for _, name := range names {
		if isBelow(name, domain) {
			return name
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return "unknown"
}

// isBelow reports whether a name is the domain or one in it.
func isBelow(name, domain string) bool {
	rest := len(name) - len(domain)
	return rest >= 0 && strings.EqualFold(name[rest:], domain) && (rest == 0 || name[rest-1] == '.')
}

// contains reports whether one of the addresses has the first bits of ip.
func contains(list []netip.Addr, ip netip.Addr, bits int) bool {
	for _, a := range list {
		if p, err := a.Unmap().Prefix(bits); err == nil && p.Contains(ip) {
			return true
		}
	}
	return false
}
