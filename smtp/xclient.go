package smtp

import (
	"net"
	"net/netip"
	"strings"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// attributes gives each attribute of XCLIENT or XFORWARD to a function that may
// refuse it. known are the names there are.
func attributes(args []byte, known string, each func(a lineserver.Attribute) bool) *Reply {
	r := errSyntax // there is none
	for a, ok := range lineserver.Attributes(string(args)) {
		if !ok || !strings.Contains(" "+known+" ", " "+a.Name+" ") || !isPrintable(a.Value) || len(a.Value) > maxDomain || !each(a) {
			return errParamValue
		}
		r = nil
	}
	return r
}

// xclient is XCLIENT attribute=value …: a trusted proxy says who its client
// is, and the session begins again as that client's.
func (s *session) xclient(args []byte) *Reply {
	if !s.trusted(s.srv.XClient) {
		return errUnknown
	}
	c := s.pub // nothing changes unless all of it is right
	remote, local := addrPort(c.RemoteAddr), addrPort(c.LocalAddr)
	helo, login := "", ""
	esmtp := c.ESMTP
	r := attributes(args, "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT", func(x lineserver.Attribute) bool {
		name, value, ok, good := x.Name, x.Value, x.Known, true
		switch name {
		case "NAME":
			c.Name = ""
			if ok {
				c.Name = value
			}
		case "ADDR", "DESTADDR":
			a := &remote
			if name == "DESTADDR" {
				a = &local
			}
			if !ok {
				*a = netip.AddrPort{}
				break
			}
			var ip netip.Addr
			ip, good = x.Addr()
			*a = netip.AddrPortFrom(ip, a.Port())
		case "PORT", "DESTPORT":
			a := &remote
			if name == "DESTPORT" {
				a = &local
			}
			var port uint16
			if ok {
				port, good = x.Port()
			}
			*a = netip.AddrPortFrom(a.Addr(), port)
		case "PROTO":
			esmtp = strings.EqualFold(value, "ESMTP")
			good = !ok || esmtp || strings.EqualFold(value, "SMTP") || strings.EqualFold(value, "LMTP")
		case "HELO":
			if ok {
				helo, good = heloName(value)
			}
		case "LOGIN":
			if ok {
				login = value
			}
		}
		return good
	})
	if r != nil {
		return r
	}
	s.values = nil
	s.forget()
	s.pub.Name, s.pub.Helo, s.pub.User, s.pub.ESMTP = c.Name, helo, login, esmtp
	if remote.IsValid() {
		s.pub.RemoteAddr = net.TCPAddrFromAddrPort(remote)
	}
	if local.IsValid() {
		s.pub.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	s.greet()
	return nil
}

// xforward is XFORWARD attribute=value …: a content filter's client says where
// the next mail came from first. Nothing is decided by it here.
func (s *session) xforward(args []byte) *Reply {
	if !s.trusted(s.srv.XForward) {
		return errUnknown
	}
	forward := make(map[string]string, len(s.pub.Forward))
	for k, v := range s.pub.Forward {
		forward[k] = v
	}
	r := attributes(args, "NAME ADDR PORT PROTO HELO IDENT SOURCE", func(x lineserver.Attribute) bool {
		if x.Known {
			forward[x.Name] = x.Value
		} else {
			delete(forward, x.Name)
		}
		return true
	})
	if r != nil {
		return r
	}
	s.pub.Forward = forward
	return okNoop
}

func addrPort(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}
