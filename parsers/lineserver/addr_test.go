package lineserver

import (
	"net"
	"testing"
)

type otherAddr string

func (n otherAddr) Network() string { return "test" }
func (n otherAddr) String() string  { return string(n) }

// TestIP: an end of a connection has an address or none, in one form.
func TestIP(t *testing.T) {
	for a, want := range map[net.Addr]string{
		nil: "", otherAddr("/run/lmtp.sock"): "", otherAddr("192.0.2.7"): "", otherAddr("192.0.2.7:25"): "192.0.2.7", otherAddr("[::ffff:192.0.2.7]:25"): "192.0.2.7",
		otherAddr("[fe80::1%eth0]:25"): "fe80::1", &net.TCPAddr{}: "", &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.7")}: "192.0.2.7", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}: "fe80::1",
	} {
		got, ok := IP(a)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%v: %v, %v", a, got, ok)
		}
	}
}

// TestFromHere: programs of this host come by loopback, or from the address they have reached.
func TestFromHere(t *testing.T) {
	at := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	for _, c := range []struct {
		remote, local net.Addr
		want          bool
	}{
		{at("127.0.0.1"), at("127.0.0.1"), true}, {at("127.9.9.9"), at("192.0.2.1"), true}, {at("::1"), at("::1"), true}, {at("::ffff:127.0.0.1"), at("192.0.2.1"), true},
		{at("192.0.2.1"), at("192.0.2.1"), true}, {at("::ffff:192.0.2.1"), at("192.0.2.1"), true}, {at("2001:db8::1"), at("2001:db8::1"), true},
		{at("192.0.2.2"), at("192.0.2.1"), false}, {at("2001:db8::2"), at("2001:db8::1"), false}, {at("192.0.2.2"), nil, false}, {nil, nil, false}, {otherAddr("/run/a"), otherAddr("/run/a"), false},
	} {
		if got := (&Identity{RemoteAddr: c.remote, LocalAddr: c.local}).FromHere(); got != c.want {
			t.Errorf("%v to %v: %v", c.remote, c.local, got)
		}
	}
}
