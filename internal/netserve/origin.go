package netserve

import (
	"net"
	"net/netip"
)

// networkShare is how many times as many connections a whole IPv6 /48 may have
// as each /64 in it: it is what one customer of a hosting company has (RFC
// 6177), and holds 65,536 of them.
const networkShare = 4

// origin counts the connections of a group that come from one place.
type origin struct {
	place     netip.Prefix
	conns     int
	strangers int
}

// Block is the unit in which addresses are counted: one IPv4 address, or the
// /64 that one IPv6 customer has (RFC 6177). It is the zero Prefix for an
// address that is not an IP address.
func Block(a net.Addr) netip.Prefix { return block(addrOf(a)) }

func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case nil:
		return netip.Addr{}
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func block(ip netip.Addr) netip.Prefix { return prefix(ip, 32, 64) }

// network is the place around a block: an IPv4 /24, an IPv6 /48.
func network(ip netip.Addr) netip.Prefix { return prefix(ip, 24, 48) }

func prefix(ip netip.Addr, four, six int) netip.Prefix {
	bits := four
	if ip.Is6() {
		bits = six
	}
	p, _ := ip.Prefix(bits)
	return p
}

// from returns the count of one place. The pool's lock is held, here and below.
func (g *Group) from(place netip.Prefix) *origin {
	o := g.origins[place]
	if o == nil {
		o = &origin{place: place}
		if g.origins == nil {
			g.origins = make(map[netip.Prefix]*origin)
		}
		g.origins[place] = o
	}
	return o
}

// forget takes one connection off a count.
func (g *Group) forget(o *origin) {
	if o.conns--; o.conns == 0 {
		delete(g.origins, o.place)
	}
}

// crowded says whether as many connections come from there as may.
func (g *Group) crowded(from netip.Addr) bool {
	if g.MaxPerBlock <= 0 || !from.IsValid() {
		return false
	}
	if o := g.origins[block(from)]; o != nil && o.conns >= g.MaxPerBlock {
		return true
	}
	o := g.origins[network(from)]
	return from.Is6() && o != nil && o.conns >= networkShare*g.MaxPerBlock
}

// weight is how many strangers share a stranger's patience: those of its
// block, or its part of those of its network if there are more.
func (c *Conn) weight() int {
	if !c.block.place.IsValid() {
		return 1
	}
	return max(c.block.strangers, c.network.strangers/networkShare, 1)
}
