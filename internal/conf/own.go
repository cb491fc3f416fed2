package conf

import (
	"net"
	"net/netip"
	"slices"
)

// SendsFrom tells which addresses mail of this host comes from: those of the settings, and those that the host has
// now.
func (s *Settings) SendsFrom() func(netip.Addr) bool {
	own := slices.Clone(s.Queue.OwnAddresses)
	for _, d := range s.Queue.Domains {
		if d != nil && d.SourceAddress.IsValid() {
			own = append(own, d.SourceAddress)
		}
	}
	here, _ := net.InterfaceAddrs()
	for _, a := range here {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return func(a netip.Addr) bool { return slices.Contains(own, a) }
}
