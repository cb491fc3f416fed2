package lineserver

import (
	"net"
	"net/netip"
)

// Block is the unit in which addresses are counted: one IPv4 address, or the
// /64 that one IPv6 customer has (RFC 6177). It is the zero Prefix for an
// address that is not an IP address.
func Block(a net.Addr) netip.Prefix {
	ip, _ := IP(a)
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
	ip, ok := IP(a)
	for _, n := range networks {
		if ok && n.Contains(ip) {
			return true
		}
	}
	return false
}

// IP is the IP address in a, an IPv4 address as such however it was mapped, without a zone; ok is false if a has none.
func IP(a net.Addr) (ip netip.Addr, ok bool) {
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

// FromHere reports whether the client is a program of this host: it comes by the loopback network, or from the
// very address that it has reached.
func (i *Identity) FromHere() bool {
	client, ok := IP(i.RemoteAddr)
	here, _ := IP(i.LocalAddr)
	return ok && (client.IsLoopback() || client == here)
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
