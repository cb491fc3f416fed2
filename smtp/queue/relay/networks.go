package relay

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// special are the networks that are nobody's on the internet (the registries of
// RFC 6890): our own, those of the house, of documentation, of protocols. Who
// has them in his DNS would have us knock at doors that are closed to him.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/3"), // multicast, reserved, broadcast

	netip.MustParsePrefix("2001::/23"), // protocols, among them Teredo
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("3fff::/20"),
}

var (
	unicast = netip.MustParsePrefix("2000::/3") // all of IPv6 that is assigned
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4  = netip.MustParsePrefix("2002::/16")
)

// Public reports whether an address is one of the internet, and not of a network
// that only some can reach or nobody: private, link-local, loopback, shared
// (RFC 6598), multicast, documentation, and the like. IPv4 addresses within IPv6
// (mapped, NAT64, 6to4) count as what they lead to.
func Public(addr netip.Addr) bool {
	addr = plainAddr(addr)
	if addr.Is6() && !unicast.Contains(addr) || !addr.IsValid() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// plainAddr is the address that is reached in the end.
func plainAddr(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixTo4.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr
}

// Networks are networks that are dialled although they are not public.
type Networks []netip.Prefix

// MayDial reports whether an address is public or in one of the networks.
func (n Networks) MayDial(addr netip.Addr) bool {
	plain := plainAddr(addr)
	return Public(addr) || slices.ContainsFunc(n, func(p netip.Prefix) bool {
		return p.Contains(plain) || p.Contains(addr.WithZone(""))
	})
}

// ErrPrivate: a name of the DNS leads into a network that is not dialled.
var ErrPrivate = errors.New("relay: not a public address")

// publicOnly drops the targets that are not to be dialled, of a host of the DNS.
func (r *Relay) publicOnly(host string, all []target) ([]target, error) {
	targets := slices.DeleteFunc(slices.Clone(all), func(t target) bool { return !r.Private.MayDial(t.addr.Addr()) })
	if len(targets) > 0 || len(all) == 0 {
		return targets, nil
	}
	// Not for good: an operator may have forgotten to write a route for it.
	why := refuse("4.4.4", "host %s has the address %s, which is not public and not dialled without a route", host, all[0].addr.Addr())
	why.unreachable = true
	return nil, why
}

// publicClient is what speaks HTTPS to hosts that strangers name, where nobody
// has set another.
func publicClient() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: controlPublic}
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableKeepAlives: true},
	}
}

// controlPublic is the Control of a net.Dialer: it lets nothing go to an address that is not public.
func controlPublic(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err != nil || !Public(a.Addr()) {
		return ErrPrivate
	}
	return nil
}
