package relay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
)

func TestPublic(t *testing.T) {
	for _, a := range []string{"8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.0", "192.0.3.1", "2606:4700::1",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:0808:0808::1", "223.255.255.255"} {
		if !Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is public", a)
		}
	}
	for _, a := range []string{"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1",
		"172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.200", "224.0.0.1",
		"239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "100::1", "2001::1",
		"2001:db8::1", "3fff::1", "5f00::1", "64:ff9b:1::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
		"2002:0a00:0001::1", "2002:7f00:0001::1", "2002:a9fe:a9fe::1"} {
		if Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not public", a)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
	n := Networks{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/16")}
	for a, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "10.2.0.1": false, "fd12::9": true, "fd13::9": false, "8.8.8.8": true} {
		if n.MayDial(netip.MustParseAddr(a)) != want {
			t.Errorf("%s: %v", a, !want)
		}
	}
}

// TestNotDialled: where the DNS of a domain leads into a network that is not
// public, nobody is dialled and the mail waits, unless a route names the host.
func TestNotDialled(t *testing.T) {
	for _, addr := range []string{"10.0.0.1", "169.254.169.254", "192.168.1.1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:a9fe:a9fe::1", "127.0.0.5"} {
		bubble(t, addr, func(t *testing.T, s *scene) {
			s.Private = nil
			s.zone.addr["mx.example.net"] = []string{addr}
			at := netip.AddrPortFrom(netip.MustParseAddr(addr).Unmap(), 25).String()
			s.net.hosts[at] = s.mx
			literal := "[IPv6:" + addr + "]"
			if netip.MustParseAddr(addr).Is4() {
				literal = "[" + addr + "]"
			}
			for _, domain := range []string{"example.net", literal} {
				r := s.send(t, delivery("bob@"+domain))[0]
				if r.Status != queue.Pending || r.Enhanced != "4.4.4" || !r.Unreachable || len(s.net.order) != 0 {
					t.Errorf("%s: %+v, dialled %v", domain, r, s.net.order)
				}
			}
			for _, route := range []*Route{{Hosts: []string{"mx.example.net"}}, {Hosts: []string{"example.net"}, MX: true}} {
				s.smarthost(route)
				if r := s.send(t, delivery("bob@nowhere.example"))[0]; r.Status != queue.Delivered {
					t.Errorf("by a route: %+v", r)
				}
				s.Close()
			}
		})
	}
	bubble(t, "one of two", func(t *testing.T, s *scene) {
		s.zone.addr["mx.example.net"] = []string{"10.0.0.1", "192.0.2.1"}
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered || len(s.net.order) != 1 {
			t.Errorf("%+v, dialled %v", r, s.net.order)
		}
	})
	bubble(t, "allowed", func(t *testing.T, s *scene) {
		s.Private = Networks{netip.MustParsePrefix("10.0.0.0/8")}
		s.zone.addr["mx.example.net"] = []string{"10.0.0.1"}
		s.net.hosts["10.0.0.1:25"] = s.mx
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered {
			t.Errorf("%+v", r)
		}
	})
}

// TestPublicClient: what fetches policies and posts reports where nobody has set
// another dials no private address.
func TestPublicClient(t *testing.T) {
	asked := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer s.Close()
	if _, err := publicClient().Get(s.URL); !errors.Is(err, ErrPrivate) || asked {
		t.Errorf("got %v, asked %v", err, asked)
	}
}

// TestControlPublic: what is dialled for strangers is public.
func TestControlPublic(t *testing.T) {
	for address, may := range map[string]bool{
		"9.9.9.9:443": true, "[2620:fe::fe]:443": true, "10.0.0.1:443": false, "127.0.0.1:443": false, "[::1]:443": false, "[fe80::1%eth0]:443": false, "[::ffff:10.0.0.1]:443": false, "9.9.9.9": false, "": false, "/run/x": false,
	} {
		if err := controlPublic("tcp", address, nil); (err == nil) != may || err != nil && !errors.Is(err, ErrPrivate) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestLineIsBounded: nobody stands in a line for longer than inLine, though it moves.
func TestLineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hostLoad
		key := keyOf(netip.MustParseAddr("192.0.2.1"), queue.Ordinary)
		h.note(key, true)
		leave := h.enter(t.Context(), key, 1)
		moving, stop := context.WithTimeout(t.Context(), 3*inLine)
		defer stop()
		go func() {
			for moving.Err() == nil {
				h.note(key, true)
				select {
				case <-moving.Done():
				case <-time.After(time.Second):
				}
			}
		}()
		began := time.Now()
		if h.enter(t.Context(), key, 1) != nil || time.Since(began) != inLine {
			t.Errorf("after %v", time.Since(began))
		}
		leave()
	})
}

// TestNobodyWaitsInLine: an attempt that is over leaves the line at once, also one that was over before it came.
func TestNobodyWaitsInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hostLoad
		key := keyOf(netip.MustParseAddr("192.0.2.1"), queue.Ordinary)
		leave := h.enter(t.Context(), key, 1)
		began := time.Now()
		for _, after := range []time.Duration{0, time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			if h.enter(ctx, key, 1) != nil || time.Since(began) != after {
				t.Errorf("after %v of %v", time.Since(began), after)
			}
			cancel()
		}
		if l := h.hosts[key]; l.line != 0 || l.running != 1 {
			t.Errorf("%d in line, %d running", l.line, l.running)
		}
		leave()
		if leave := h.enter(t.Context(), key, 1); leave == nil {
			t.Error("the place is not free again")
		}
	})
}

// TestOneSilentAddress: however many names lead to an address that says nothing,
// few attempts wait for it, and soon nobody waits for those.
func TestOneSilentAddress(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.mx.mute = true
		for i := range 100 {
			s.zone.addr[fmt.Sprintf("s%d.example", i)] = []string{"192.0.2.1"}
		}
		results := make(chan queue.Result, 200)
		ctx, cancel := context.WithCancelCause(t.Context())
		send := func(ctx context.Context, i int, class queue.Class) {
			d := delivery(fmt.Sprintf("v@s%d.example", i))
			d.Entry.Class = class
			go func() { results <- s.Deliver(ctx, d)[0] }()
		}
		for i := range 50 {
			send(ctx, i, queue.Notice)
		}
		time.Sleep(inLine + time.Second)
		synctest.Wait()
		if n := s.mx.dials; n != defaultPerAddress/4 {
			t.Errorf("%d dials", n)
		}
		if n := len(results); n != 50-defaultPerAddress/4 {
			t.Fatalf("%d results", n)
		}
		for range len(results) {
			if r := <-results; !r.Busy || r.Status != queue.Pending || r.Unreachable {
				t.Errorf("%+v", r)
			}
		}
		began := time.Now()
		send(ctx, 60, queue.Notice)
		if r := <-results; !r.Busy || time.Since(began) > time.Second {
			t.Errorf("one that comes later: %+v after %v", r, time.Since(began))
		}
		send(t.Context(), 61, queue.Ordinary) // another class has its own places
		synctest.Wait()
		if n := s.mx.dials; n != defaultPerAddress/4+1 {
			t.Errorf("%d dials", n)
		}
		cancel(queue.ErrGaveWay) // the queue needs the places
		for range defaultPerAddress / 4 {
			if r := <-results; r.Status != queue.Pending || r.Busy {
				t.Errorf("%+v", r)
			}
		}
		send(t.Context(), 62, queue.Notice)
		if r := <-results; !r.Unreachable {
			t.Errorf("an address that has said nothing is dialled again at once: %+v", r)
		}
		<-results
	})
}

// TestLineMoves: many names of a host that answers are served one after the
// other, without one being put off.
func TestLineMoves(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.mx.reply = func(_ int, line string) string { time.Sleep(100 * time.Millisecond); return "" }
		results := make(chan queue.Result, 200)
		for i := range 150 {
			s.zone.addr[fmt.Sprintf("s%d.example", i)] = []string{"192.0.2.1"}
		}
		for i := range 150 {
			d := delivery(fmt.Sprintf("v@s%d.example", i))
			go func() { results <- s.Deliver(t.Context(), d)[0] }()
		}
		for range 150 {
			if r := <-results; r.Status != queue.Delivered {
				t.Fatalf("%+v", r)
			}
		}
	})
}
