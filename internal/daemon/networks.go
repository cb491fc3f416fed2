package daemon

import (
	"net"
	"net/netip"
)

// containsAddr says whether one of the networks contains the address.
func containsAddr(networks []netip.Prefix, a net.Addr) bool {
	if a == nil {
		return false
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	ip := ap.Addr().Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}
