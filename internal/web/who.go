package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// question is who asks, and whom, as far as it can be believed.
type question struct {
	host   string     // in canonical form, without a port
	client netip.Addr // the zero Addr: nobody knows
}

// ask takes a request's host and client: from the connection or, where a web server in front
// of this one is believed, from what that says.
func ask(site *Site, r *http.Request) question {
	q := question{host: hostOf(r.Host)}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return q // a Unix socket: no address, no rights
	}
	q.client = peer.Addr().Unmap().WithZone("")
	if !within(q.client, site.ProxyFrom) {
		return q
	}
	if h := last(r.Header, "X-Forwarded-Host"); h != "" {
		q.host = hostOf(h)
	}
	if q.client = original(q.client, r.Header, site.ProxyFrom); len(r.Header.Values("X-Forwarded-For")) == 0 && within(q.client, site.Proxies) {
		q.client = netip.Addr{} // it speaks for others always
	}
	return q
}

// original is the client that web servers in front of this one name: each puts down whom it had the
// request from behind what that said, so that the last one that is none of them is the client.
// What cannot be read, and a word that something stood in between without saying who, is nobody.
func original(peer netip.Addr, h http.Header, proxies []netip.Prefix) netip.Addr {
	hops := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	if len(h.Values("X-Forwarded-For")) == 0 {
		for _, other := range []string{"Forwarded", "X-Real-Ip", "Via", "X-Forwarded-Host", "X-Forwarded-Proto"} {
			if len(h.Values(other)) > 0 {
				return netip.Addr{}
			}
		}
		return peer
	}
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		a, err := netip.ParseAddr(strings.Trim(hop, "[]"))
		if err != nil {
			ap, _ := netip.ParseAddrPort(hop)
			a = ap.Addr() // nobody, where it is neither
		}
		if a = a.Unmap().WithZone(""); !within(a, proxies) {
			return a
		}
		peer = a
	}
	return peer
}

// last is the last value of a field, which the web server nearest to us has written.
func last(h http.Header, field string) string {
	all := h.Values(field)
	if len(all) == 0 {
		return ""
	}
	parts := strings.Split(all[len(all)-1], ",")
	return strings.TrimSpace(parts[len(parts)-1])
}

// hostOf is the canonical form of the host in a Host field.
func hostOf(field string) string {
	if host, _, err := net.SplitHostPort(field); err == nil {
		field = host
	}
	return domains.Canonical(strings.Trim(strings.TrimSuffix(field, "."), "[]")).String()
}

func within(a netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return a.IsValid() && p.Contains(a) })
}

// ownName reports whether the host is asked by a name that nobody else can lead here: one of the settings,
// an address, or a name of one label. A web page whose name leads here by its own DNS
// is not to have its reader's browser fetch what only the reader may see.
func (s *Site) ownName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host != "" && !strings.Contains(host, ".") {
		return true
	}
	return slices.Contains(s.Names, host)
}
