package lineserver

import "net/netip"

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

// network is the place around a block: an IPv4 /24, an IPv6 /48.
func network(ip netip.Addr) netip.Prefix { return around(ip, 24, 48) }

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

// atCap reports whether as many connections come from there as may.
func (g *Group) atCap(from netip.Addr) bool {
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
