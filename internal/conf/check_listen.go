package conf

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func (c *checker) listeners() {
	if len(c.Listeners) == 0 && c.text().Has("Listeners") {
		c.fail(at("Listeners"), "the list is empty; leave it out for the standard ports")
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		steps := at("Listeners", i)
		here := func(key string) []any { return at("Listeners", i, key) }
		if l.Address == "" {
			c.fail(here("address"), `missing; write one like ":25" or "127.0.0.1:2525"`)
		} else if err := checkListen(l.Address); err != "" {
			c.fail(here("address"), "%s", err)
		} else if c.probes.Listen != nil {
			if err := c.probes.Listen(*l, c.Admin.Socket); err != nil {
				c.fail(here("address"), "%w", err)
			}
		}
		if l.Protocol == "" {
			c.fail(here("protocol"), "missing; write one of %q, %q, %q and %q", ProtocolSMTP, ProtocolSubmission, ProtocolLMTP, ProtocolPOP3)
		}
		c.line(here("greeting"), l.Greeting)
		if !c.partial {
			c.login(l, steps)
		}
		for j := range c.Listeners[:i] {
			if l.Address != "" && checkListen(l.Address) == "" && clash(c.Listeners[j].Address, l.Address) {
				c.fail(here("address"), "%q is in use already by Listeners[%d], %q", l.Address, j, c.Listeners[j].Address)
				break
			}
		}
	}
}

// login refuses a listener for users on which no user could log in.
func (c *checker) login(l *Listener, steps []any) {
	cleartext := c.SMTP.CleartextAuth
	if l.Protocol == ProtocolPOP3 {
		cleartext = c.POP3.CleartextAuth || c.POP3.APOP
	}
	if l.TLS != TLSOff || cleartext || l.Protocol == ProtocolSMTP || l.Protocol == ProtocolLMTP {
		return
	}
	challenge := func(m string) bool { return m == "CRAM-MD5" || m == "SCRAM-SHA-256" }
	if !slices.ContainsFunc(c.Auth.Mechanisms, challenge) {
		c.fail(append(steps, "tls"), "without TLS nobody can log in here; use TLS, or offer SCRAM-SHA-256 in Auth.mechanisms")
	}
}

// checkListen says what is wrong with an address to listen at.
func checkListen(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" || len(path) > 103 {
			return "the path of a Unix socket has 1 to 103 characters"
		}
		return ""
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return strconv.Quote(address) + ` is not an address with a port; write one like ":25", "127.0.0.1:25" or "[::1]:25"`
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return strconv.Quote(port) + " is not a port; write a number from 0 to 65535"
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			return strconv.Quote(host) + ` is not an IP address of this host; write one like "192.0.2.1", or nothing for all`
		}
	}
	return ""
}

// clash reports whether two addresses cannot be listened at together: the same
// port on the same address, or on all addresses.
func clash(a, b string) bool {
	if strings.HasPrefix(a, "unix:") || strings.HasPrefix(b, "unix:") {
		return a == b
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	ipA, anyA := listenIP(hostA)
	ipB, anyB := listenIP(hostB)
	switch {
	case anyA && anyB:
		return ipA.Is4() == ipB.Is4() || !ipA.Is4() || !ipB.Is4()
	case anyA:
		return !ipA.Is4() || ipB.Is4()
	case anyB:
		return !ipB.Is4() || ipA.Is4()
	}
	return ipA == ipB
}

// listenIP returns the address, and whether it stands for all of its kind:
// "0.0.0.0" for those of IPv4, "::" and nothing for those of both.
func listenIP(host string) (ip netip.Addr, all bool) {
	switch host {
	case "":
		return netip.IPv6Unspecified(), true
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), false
	}
	ip, _ = netip.ParseAddr(host)
	return ip, ip.IsUnspecified()
}
