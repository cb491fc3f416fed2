package netserve

import (
	"net"
	"net/netip"
)

// Block is the unit in which addresses are counted: one IPv4 address, or the
// /64 that one IPv6 customer has (RFC 6177). It is the zero Prefix for an
// address that is not an IP address.
func Block(a net.Addr) netip.Prefix {
	ip, ok := ipOf(a)
	if !ok {
		return netip.Prefix{}
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// Within says whether a is an IP address in one of the networks.
func Within(a net.Addr, networks []netip.Prefix) bool {
	if len(networks) == 0 {
		return false
	}
	ip, ok := ipOf(a)
	for _, n := range networks {
		if ok && n.Contains(ip) {
			return true
		}
	}
	return false
}

// ipOf is the IP address in a, an IPv4 address as such however it was mapped.
func ipOf(a net.Addr) (netip.Addr, bool) {
	var ip netip.Addr
	switch a := a.(type) {
	case nil:
	case *net.TCPAddr:
		ip = a.AddrPort().Addr()
	default:
		if ap, err := netip.ParseAddrPort(a.String()); err == nil {
			ip = ap.Addr()
		}
	}
	return ip.Unmap().WithZone(""), ip.IsValid()
}
