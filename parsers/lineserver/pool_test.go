package lineserver_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// visitor is a connection that comes from an address.
type visitor struct {
	net.Conn
	from *net.TCPAddr
}

func (v visitor) RemoteAddr() net.Addr { return v.from }

// visit comes to a group's listener from an address and says what it is, as in
// room_test.
func visit(t *testing.T, l *pipeListener, from, kind string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	l.conns <- visitor{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 1))}
	synctest.Wait()
	go io.WriteString(ours, kind)
	synctest.Wait()
	return ours
}

// TestPool: two groups share places. Who comes to one gets the place of a
// stranger of the other; nobody gets that of a user.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &lineserver.Pool{MaxConns: 2}
		one, two := lineserver.Group{Pool: p, Patience: 10 * time.Second}, lineserver.Group{Pool: p, Patience: 10 * time.Second}
		first, second := newPipeListener(), newPipeListener()
		go one.Serve(first, roomy)
		go two.Serve(second, roomy)
		r := &room{t: t}
		stranger := visit(t, first, "192.0.2.1", "s")
		visit(t, first, "192.0.2.2", "u")
		r.hears(visit(t, second, "192.0.2.3", "u"), "full")
		time.Sleep(10 * time.Second)
		r.hears(visit(t, second, "192.0.2.3", "u"), "")
		r.hears(stranger, "room")
		time.Sleep(time.Minute)
		r.hears(visit(t, first, "192.0.2.4", "s"), "full")
		if n := p.Len(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		one.Close()
		two.Close()
		synctest.Wait()
		if n := p.Len(); n != 0 {
			t.Errorf("%d connections when all have ended, want none", n)
		}
	})
}

// TestSharedPatience: one of many strangers from one address makes room before
// one who came alone, and sooner; so do those of one network together.
func TestSharedPatience(t *testing.T) {
	for _, c := range []struct {
		name string
		from func(i int) string
		wait time.Duration
	}{
		{"one address", func(int) string { return "192.0.2.1" }, time.Second},
		{"one IPv6 /64", func(i int) string { return netip.MustParseAddr("2001:db8::").Next().String() }, time.Second},
		{"one IPv4 /24", func(i int) string { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String() }, 4 * time.Second},
		{"one IPv6 /48", func(i int) string {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, byte(i)}).String()
		}, 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := lineserver.Group{MaxConns: 11, Patience: 10 * time.Second}
				l := newPipeListener()
				go g.Serve(l, roomy)
				r := &room{t: t}
				alone := visit(t, l, "198.51.100.1", "s")
				time.Sleep(time.Millisecond)
				var others []net.Conn
				for i := range 10 {
					others = append(others, visit(t, l, c.from(i), "s"))
				}
				time.Sleep(c.wait * 9 / 10)
				r.hears(visit(t, l, "203.0.113.1", "u"), "full")
				time.Sleep(c.wait)
				r.hears(visit(t, l, "203.0.113.1", "u"), "")
				r.hears(alone, "")
				r.hears(others[0], "room")
				g.Close()
			})
		})
	}
}

// TestNetworkCap: the /64s of one /48 have only so many places together.
func TestNetworkCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lineserver.Group{MaxPerBlock: 2}
		l := newPipeListener()
		go g.Serve(l, roomy)
		r := &room{t: t}
		from := func(i int) string { return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, byte(i)}).String() }
		for i := range 8 {
			r.hears(visit(t, l, from(i), "u"), "")
		}
		r.hears(visit(t, l, from(9), "u"), "full")
		r.hears(visit(t, l, "2001:db8:1::", "u"), "")
		for i := range 12 { // many customers of IPv4 share a /24
			r.hears(visit(t, l, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String(), "u"), "")
		}
		g.Close()
	})
}

// TestPerMinute: who comes too often is told so, others are not, and after a
// while it is forgiven.
func TestPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lineserver.Group{PerMinute: 60, Free: []netip.Prefix{netip.MustParsePrefix("192.0.2.8/31")}}
		l := newPipeListener()
		go g.Serve(l, roomy)
		r := &room{t: t}
		for range 30 {
			visit(t, l, "192.0.2.1", "u").Close()
			visit(t, l, "192.0.2.9", "u").Close()
			visit(t, l, "127.0.0.1", "u").Close()
		}
		r.hears(visit(t, l, "192.0.2.1", "u"), "full")
		r.hears(visit(t, l, "192.0.2.2", "u"), "")
		r.hears(visit(t, l, "192.0.2.9", "u"), "")
		r.hears(visit(t, l, "127.0.0.1", "u"), "")
		time.Sleep(time.Second)
		r.hears(visit(t, l, "192.0.2.1", "u"), "")
		r.hears(visit(t, l, "192.0.2.1", "u"), "full")
		g.Close()
	})
}
