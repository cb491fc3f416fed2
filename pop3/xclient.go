package pop3

import (
	"net"
	"net/netip"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// xclient lets a proxy that is trusted tell where its client comes from. There
// is no standard; this is what Dovecot's proxies send: NAME=value pairs, values
// in xtext (RFC 3461 §4), of which ADDR and PORT count here.
func (c *session) xclient(a *args) reply {
	if !c.trusted {
		return c.bad("unknown command")
	}
	var ip netip.Addr
	var port uint16
	for x, ok := range lineserver.Attributes(string(a.rest)) {
		switch {
		case !ok:
		case x.Name == "ADDR":
			ip, ok = x.Addr()
		case x.Name == "PORT":
			port, ok = x.Port()
		case x.Name == "SESSION":
			c.remark("XCLIENT session " + x.Value)
		}
		if !ok {
			return c.bad("bad value of " + x.Name)
		}
	}
	if ip.IsValid() {
		c.remark("XCLIENT for " + ip.String())
		c.pub.RemoteAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), port))
		c.peer.RemoteAddr = c.pub.RemoteAddr
		c.trusted = false // one hop is trusted, not whoever is behind it
	}
	return ok("updated")
}
