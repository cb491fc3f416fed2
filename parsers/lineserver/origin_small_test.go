package lineserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestOriginsGo: of who has left nothing is kept, however many have come from however many places.
func TestOriginsGo(t *testing.T) {
	g := &Group{MaxPerBlock: 3}
	for range 2 {
		for i := range 300 {
			from := netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", i%7, i))
			a, b := net.Pipe()
			conn := g.admit(a)
			g.enter(conn, from)
			if len(g.origins) == 0 {
				t.Fatal("nobody is counted")
			}
			g.leave(conn)
			b.Close()
		}
		if len(g.origins) != 0 || len(g.conns) != 0 {
			t.Errorf("%d places and %d connections are remembered", len(g.origins), len(g.conns))
		}
	}
}

// TestStoppingIsSaid: who comes while the server stops is told so, whatever else there is to say.
func TestStoppingIsSaid(t *testing.T) {
	g := &Group{MaxConns: 1}
	var all []*Conn
	come := func() *Conn {
		a, _ := net.Pipe()
		c := g.admit(a)
		g.enter(c, netip.MustParseAddr("192.0.2.1"))
		all = append(all, c)
		return c
	}
	if c := come(); c.Refused != Welcome {
		t.Errorf("the first: %v", c.Refused)
	}
	if c := come(); c.Refused != TooMany {
		t.Errorf("the second: %v", c.Refused)
	}
	g.stopping = true
	if c := come(); c.Refused != Stopping {
		t.Errorf("while it stops: %v", c.Refused)
	}
	for _, c := range all {
		g.leave(c)
	}
}

// TestBetter: room is made by who has been here longest of those who have been here for long enough.
func TestBetter(t *testing.T) {
	var k candidate
	first, second, third := new(Conn), new(Conn), new(Conn)
	k.better(first, 9*time.Second, 10*time.Second)
	if k.conn != nil {
		t.Error("not for long enough")
	}
	k.better(first, 10*time.Second, 10*time.Second)
	if k.conn != first {
		t.Error("just for long enough")
	}
	k.better(second, 12*time.Second, 10*time.Second)
	k.better(third, 11*time.Second, 10*time.Second)
	k.better(third, 12*time.Second, 10*time.Second)
	if k.conn != second || k.here != 12*time.Second {
		t.Errorf("the longest is not chosen: %v", k.here)
	}
}

// TestBucketExactly: half of a minute's worth at once, and the next when there is room for one again.
func TestBucketExactly(t *testing.T) {
	from, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	for perMinute, most := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 10: 5} {
		g := &Group{PerMinute: perMinute}
		n := 0
		for g.timely(from, now) && n < 100 {
			n++
		}
		if n != most {
			t.Errorf("%d a minute: %d at once, want %d", perMinute, n, most)
		}
		one := time.Duration(float64(time.Minute) / float64(perMinute))
		if g.timely(from, now.Add(one/4)) && perMinute > 3 {
			t.Errorf("%d a minute: too early", perMinute)
		}
		if !g.timely(from, now.Add(2*one)) {
			t.Errorf("%d a minute: not after two of them", perMinute)
		}
	}
}

// TestLookedInVain: who has found nobody who could make room does not look again at once.
func TestLookedInVain(t *testing.T) {
	var s strangerList
	for _, after := range []time.Duration{0, lookAgain - 1, lookAgain, 2*lookAgain - 1, 2 * lookAgain} {
		now := time.Unix(1000, 0).Add(after)
		if s.makeRoom(now) {
			t.Error("nobody has made room")
		}
		if want := time.Unix(1000, 0).Add(after / lookAgain * lookAgain); !s.looked.Equal(want) {
			t.Errorf("after %v: looked last at %v, want %v", after, s.looked, want)
		}
	}
}

// TestHandshakeEnds: the context of a handshake ends with its time, and with none has no end.
func TestHandshakeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(Group)
		a, b := net.Pipe()
		defer b.Close()
		c := g.admit(a)
		g.enter(c, netip.MustParseAddr("192.0.2.1"))
		began := time.Now()
		err := c.Handshake(time.Minute, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		c.Handshake(-1, func(ctx context.Context) error {
			if at, ok := ctx.Deadline(); ok || ctx.Err() != nil {
				t.Errorf("without a limit it ends at %v, %v", at, ctx.Err())
			}
			return nil
		})
		g.leave(c)
	})
}
