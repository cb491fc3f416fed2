package conf

import (
	"net"
	"net/netip"
	"testing"
)

// TestSendsFrom: mail of this host comes from what the settings say, for all or for a domain, and from what the host has.
func TestSendsFrom(t *testing.T) {
	s := New()
	s.Queue.OwnAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	s.Queue.Domains = map[string]*QueueDomain{"a.example": {SourceAddress: netip.MustParseAddr("192.0.2.2")}, "b.example": {}, "c.example": nil}
	own := s.SendsFrom()
	here, err := net.InterfaceAddrs()
	if err != nil {
		t.Skip(err)
	}
	addresses := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	for _, a := range here {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addresses = append(addresses, p.Addr().Unmap())
		}
	}
	for _, a := range addresses {
		if !own(a) {
			t.Errorf("%s is nobody's", a)
		}
	}
	for _, a := range []string{"192.0.2.3", "2001:db8::1", "0.0.0.0"} {
		if own(netip.MustParseAddr(a)) {
			t.Errorf("%s is ours", a)
		}
	}
	if own(netip.Addr{}) {
		t.Error("no address is ours")
	}
	if len(s.Queue.OwnAddresses) != 1 {
		t.Error("the settings have changed")
	}
}
