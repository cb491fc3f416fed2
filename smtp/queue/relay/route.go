package relay

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Route is a way for mail other than the DNS of its domain.
type Route struct {
	// Name is what State.Route and Relay.Routes call it.
	Name string
	// Hosts are tried in order: "smtp.example.org", "192.0.2.1",
	// "[IPv6:2001:db8::1]", or for LMTP also "/run/lmtp.sock".
	Hosts []string
	// MX: look up the MX records of Hosts, as for a recipient's domain.
	MX bool
	// Port is 25 where zero; 24 for LMTP.
	Port uint16
	// LMTP: the other side speaks LMTP (RFC 2033), and answers for each
	// recipient.
	LMTP bool
	// TLS is the level demanded; May where Auto. ImplicitTLS: the connection
	// begins with the handshake (RFC 8314).
	TLS         Level
	ImplicitTLS bool
	// User and Password authenticate. The strongest mechanism both sides have
	// is used, of those Mechanisms names where it names any. Passwords are
	// sent under TLS only.
	User, Password string
	Mechanisms     []string
	// Copy, where not nil, makes of the message what is sent by the route: without a
	// field that this host put on top, say. It is asked again at each attempt.
	Copy func(message io.Reader) (io.Reader, error)
}

// routeOf finds a recipient's route: the one an operator chose for the entry, or
// that of the domain. nil is the DNS.
func (r *Relay) routeOf(domain domains.Name, name string) *Route {
	if name != "" {
		if route, ok := r.Routes[name]; ok {
			return route
		}
	}
	for d := range r.Domains.Each(domain) {
		if d.Route != "" {
			return r.Routes[d.Route]
		}
	}
	return nil
}

func (route *Route) port() uint16 {
	switch {
	case route.Port != 0:
		return route.Port
	case route.LMTP:
		return 24
	}
	return 25
}

// routeHosts are the route's hosts, through the DNS if it says so. Those that
// stand in the configuration need nobody to confirm them.
func (r *Relay) routeHosts(ctx context.Context, route *Route) (hosts, error) {
	if !route.MX {
		h := hosts{secure: true, configured: true}
		for _, name := range route.Hosts {
			h.names = append(h.names, domains.Canonical(name).String())
		}
		return h, nil
	}
	all := hosts{secure: true}
	var last error
	for _, h := range route.Hosts {
		found, err := r.findHosts(ctx, strings.ToLower(h))
		if err != nil {
			last = err
			continue
		}
		all.names = append(all.names, found.names...)
		all.secure = all.secure && found.secure
	}
	if len(all.names) == 0 {
		return all, last
	}
	return all, nil
}

// isRouteHost: an address without brackets is meant only where an operator has
// written it.
func (r *Relay) isRouteHost(host string) bool {
	if _, err := netip.ParseAddr(host); err != nil {
		return false
	}
	for _, route := range r.Routes {
		if slices.Contains(route.Hosts, host) {
			return true
		}
	}
	return false
}

// isSocket: an absolute path is a Unix socket.
func isSocket(host string) bool { return strings.HasPrefix(host, "/") }
