package pop3

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// xclient lets a proxy that is trusted tell where its client comes from. There
// is no standard; this is what Dovecot's proxies send: NAME=value pairs, values
// in xtext (RFC 3461 §4), of which ADDR and PORT count here.
func (c *conn) xclient(a *args) reply {
	if !c.trusted {
		return c.bad("unknown command")
	}
	var ip netip.Addr
	var port uint64
	for _, pair := range strings.Fields(string(a.rest)) {
		name, value, _ := strings.Cut(pair, "=")
		value, err := unxtext(value)
		switch strings.ToUpper(name) {
		case "ADDR":
			if len(value) > 5 && strings.EqualFold(value[:5], "IPV6:") {
				value = value[5:]
			}
			ip, err = netip.ParseAddr(value)
		case "PORT":
			port, err = strconv.ParseUint(value, 10, 16)
		case "SESSION":
			c.remark("XCLIENT session " + value)
		}
		if err != nil {
			return c.bad("bad value of " + name)
		}
	}
	if ip.IsValid() {
		c.remark("XCLIENT for " + ip.String())
		c.RemoteAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), uint16(port)))
		c.peer.RemoteAddr = c.RemoteAddr
		c.trusted = false // one hop is trusted, not whoever is behind it
	}
	return ok("updated")
}

// unxtext decodes xtext: "+" and two hex digits stand for an octet.
func unxtext(s string) (string, error) {
	if !strings.Contains(s, "+") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", strconv.ErrSyntax
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), nil
}
