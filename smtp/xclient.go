package smtp

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// attribute is one NAME=value of XCLIENT or XFORWARD, its value decoded; ok is
// false for [UNAVAILABLE] and [TEMPUNAVAIL].
func attributes(args []byte, known string, each func(name, value string, ok bool) bool) *Reply {
	fields := strings.Fields(string(args))
	if len(fields) == 0 {
		return errSyntax
	}
	for _, f := range fields {
		name, value, found := strings.Cut(f, "=")
		name = strings.ToUpper(name)
		if !found || name == "" || !strings.Contains(" "+known+" ", " "+name+" ") {
			return errParamValue
		}
		available := !strings.EqualFold(value, "[UNAVAILABLE]") && !strings.EqualFold(value, "[TEMPUNAVAIL]")
		value, ok := DecodeXtext(value)
		if !ok || !isPrintable(value) || len(value) > maxDomain || !each(name, value, available && value != "") {
			return errParamValue
		}
	}
	return nil
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
	r := attributes(args, "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT", func(name, value string, ok bool) bool {
		good := true
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
			ip, good = parseXAddr(value)
			*a = netip.AddrPortFrom(ip, a.Port())
		case "PORT", "DESTPORT":
			a := &remote
			if name == "DESTPORT" {
				a = &local
			}
			var port uint64
			if ok {
				var err error
				port, err = strconv.ParseUint(value, 10, 16)
				good = err == nil
			}
			*a = netip.AddrPortFrom(a.Addr(), uint16(port))
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
	r := attributes(args, "NAME ADDR PORT PROTO HELO IDENT SOURCE", func(name, value string, ok bool) bool {
		if ok {
			forward[name] = value
		} else {
			delete(forward, name)
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

// parseXAddr reads an address as XCLIENT writes it: IPv6 with "IPV6:" before
// it.
func parseXAddr(s string) (netip.Addr, bool) {
	if len(s) > 5 && strings.EqualFold(s[:5], "IPV6:") {
		s = s[5:]
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Zone() == ""
}
