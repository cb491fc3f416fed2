package lineserver

import (
	"net"
	"net/netip"
)

// Block is the unit in which addresses are counted: one IPv4 address, or the
// /64 that one IPv6 customer has (RFC 6177). It is the zero Prefix for an
// address that is not an IP address.
func Block(a net.Addr) netip.Prefix {
	ip, _ := ipOf(a)
	return block(ip)
}

func block(ip netip.Addr) netip.Prefix { return around(ip, 32, 64) }

// around is the network of so many bits around ip; the zero Prefix around no
// address.
func around(ip netip.Addr, four, six int) netip.Prefix {
	bits := four
	if ip.Is6() {
		bits = six
	}
	p, _ := ip.Prefix(bits)
	return p
}

// Within reports whether a is an IP address in one of the networks.
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

// Local reports whether what conn carries stays on this machine, where nobody
// listens to passwords in the clear who could not have them otherwise.
func Local(conn net.Conn) bool {
	switch a := conn.RemoteAddr().(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
