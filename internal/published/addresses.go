package published

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
)

// Addresses are those that the internet reaches this host at: those that it takes
// mail at, if they are named, else those of its interfaces; and what the settings
// call its own.
func Addresses(s *conf.Settings) []netip.Addr {
	var own []netip.Addr
	for _, l := range s.Listeners {
		a, _, ok := reachable(l)
		switch {
		case l.Protocol != conf.ProtocolSMTP || !ok:
		case a.IsUnspecified():
			own = Union(own, Interfaces())
		case isPublic(a):
			own = Union(own, []netip.Addr{a})
		}
	}
	return Union(own, s.Queue.OwnAddresses)
}

// Union is a, and what of b is not in it, in one order.
func Union(a, b []netip.Addr) []netip.Addr {
	all := slices.Concat(a, b)
	for i := range all {
		all[i] = all[i].Unmap().WithZone("")
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// Interfaces are the public addresses of this machine, without those IPv6
// addresses that are used for a day and never again.
func Interfaces() []netip.Addr {
	all, _ := net.InterfaceAddrs()
	text, _ := os.ReadFile("/proc/net/if_inet6")
	return lasting(all, temporary(string(text)))
}

// lasting are the public ones of addresses, without those that pass.
func lasting(all []net.Addr, passing map[netip.Addr]bool) (public []netip.Addr) {
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && isPublic(p.Addr()) && !passing[p.Addr()] {
			public = append(public, p.Addr())
		}
	}
	return public
}

// temporary are the addresses of privacy extensions (RFC 8981) and those that are
// about to go, where the system tells: /proc/net/if_inet6.
func temporary(text string) map[netip.Addr]bool {
	const temporary, deprecated = 0x01, 0x20 // linux/if_addr.h
	found := make(map[netip.Addr]bool)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 || len(f[0]) != 32 {
			continue
		}
		var groups []string
		for i := 0; i < 32; i += 4 {
			groups = append(groups, f[0][i:i+4])
		}
		flags, err := strconv.ParseUint(f[4], 16, 64)
		if a, err2 := netip.ParseAddr(strings.Join(groups, ":")); err == nil && err2 == nil && flags&(temporary|deprecated) != 0 {
			found[a] = true
		}
	}
	return found
}

// isPublic reports whether the internet can reach an address.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// reachable is where a listener is, if it is not for this host alone.
func reachable(l conf.Listener) (a netip.Addr, port uint16, ok bool) {
	host, service, err := net.SplitHostPort(l.Address)
	if err != nil {
		return a, 0, false // a Unix socket
	}
	if a = netip.IPv6Unspecified(); host != "" {
		if a, err = netip.ParseAddr(host); err != nil {
			return a, 0, false
		}
	}
	n, err := net.LookupPort("tcp", service)
	return a, uint16(n), err == nil && !a.IsLoopback()
}
