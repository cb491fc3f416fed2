package published

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestLasting: of the addresses of a machine, those that the world reaches and that stay; a line that is not understood says nothing.
func TestLasting(t *testing.T) {
	const addresses = `20010db8000000000000000000000001 02 40 00 80     eth0
20010db8000000000000000000000002 02 40 00 01     eth0
20010db8000000000000000000000003 02 40 00 20     eth0
20010db8000000000000000000000004 02 40 00 21 eth0
20010db8000000000000000000000005 02 40 00 de     eth0
20010db8000000000000000000000006 02 40 00 01
20010db8000000000000000000000007 02 40 00
20010db8000000000000000000000008 02 40 00 xx     eth0
2001db8000000000000000000000009 02 40 00 01     eth0
2001:db800000000000000000000000a 02 40 00 01     eth0

`
	passing := temporary(addresses)
	if got, want := slices.SortedFunc(maps.Keys(passing), netip.Addr.Compare), netips("2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::6"); !slices.Equal(got, want) {
		t.Errorf("about to go: %v, want %v", got, want)
	}
	var all []net.Addr
	for text := range strings.FieldsSeq("2001:db8::1/64 2001:db8::2/64 2001:db8::5/64 192.0.2.1/24 10.0.0.1/8 172.16.0.1/12 192.168.0.1/16 100.64.0.0/10 100.127.255.255/32 100.63.255.255/32 100.128.0.0/32 127.0.0.1/8 ::1/128 fe80::1/64 fd00::1/8") {
		ip, n, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &net.IPNet{IP: ip, Mask: n.Mask})
	}
	all = append(all, &net.UnixAddr{Name: "/run/x"})
	if got, want := lasting(all, passing), netips("2001:db8::1", "2001:db8::5", "192.0.2.1", "100.63.255.255", "100.128.0.0"); !slices.Equal(got, want) {
		t.Errorf("those that stay: %v, want %v", got, want)
	}
}

// TestReachable: where a listener is, if others than this host can get there.
func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		":25": "[::]:25", "0.0.0.0:25": "0.0.0.0:25", "192.0.2.1:587": "192.0.2.1:587", "[2001:db8::1]:pop3s": "[2001:db8::1]:995",
		"127.0.0.1:25": "", "[::1]:25": "", "unix:/run/x": "", "/run/x": "", "mail.example.test:25": "", ":nonsense": "", ":65536": "",
	} {
		a, port, ok := reachable(conf.Listener{Address: address})
		if ok != (want != "") || ok && netip.AddrPortFrom(a, port).String() != want {
			t.Errorf("%s: %v %d, %v", address, a, port, ok)
		}
	}
}

// TestAnyAddress: whoever takes mail at all addresses has those of its interfaces.
func TestAnyAddress(t *testing.T) {
	for _, address := range []string{":25", "[::]:25", "0.0.0.0:25"} {
		p := planOf(t, "example.test", `"Listeners": [{"address": "`+address+`", "protocol": "smtp"}]`, nil)
		if want := Union(nil, Interfaces()); !slices.Equal(p.Addresses, want) {
			t.Errorf("%s: %v, want %v", address, p.Addresses, want)
		}
	}
}
