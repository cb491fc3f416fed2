package verify

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// mute never answers, and counts who waits.
type mute struct {
	world
	now, most, all atomic.Int64
}

func (m *mute) LookupTXT(ctx context.Context, name string) ([]string, error) {
	defer m.now.Add(-1)
	m.all.Add(1)
	m.most.Store(max(m.most.Load(), m.now.Add(1)))
	<-ctx.Done()
	return nil, ctx.Err()
}

func from(t *testing.T, n int) smtp.Path {
	t.Helper()
	p, err := smtp.ParsePath(fmt.Sprintf("<x@d%d.test>", n), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func session(addr string) *smtp.Session {
	return &smtp.Session{Identity: lineserver.Identity{RemoteAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 1))}, Helo: "h.test"}
}

// TestAbandoned: a client that begins 100,000 transactions and sends nothing has few questions asked, in
// one session or in many, and nothing of it is left.
func TestAbandoned(t *testing.T) {
	for _, many := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := new(mute)
			v := newVerifier(m, &rules)
			s := session(client)
			for n := range 100_000 {
				if many {
					s = session(client)
				}
				if err := v.Sender(t.Context(), s, from(t, n), false); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if m.all.Load() > mostEarly || m.most.Load() > mostOfOne {
				t.Errorf("many %v: %d questions, %d at a time", many, m.all.Load(), m.most.Load())
			}
			if !v.bounds.begins(callerAt(session("192.0.2.200").RemoteAddr).network) {
				t.Error("others are kept from asking")
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if m.now.Load() != 0 || len(v.bounds.one) != 0 {
				t.Errorf("many %v: %d wait, %d are counted", many, m.now.Load(), len(v.bounds.one))
			}
			if !v.bounds.begins(callerAt(session(client).RemoteAddr).network) {
				t.Error("it may not ask any more")
			}
		})
	}
}

// TestManyClients: all strangers together leave the queue room to ask.
func TestManyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(mute)
		v := newVerifier(m, &rules)
		for n := range 5000 {
			if err := v.Sender(t.Context(), session(fmt.Sprintf("192.0.%d.%d", n/50, n%50)), from(t, n), false); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if m.most.Load() > mostQuestions {
			t.Errorf("%d questions at a time", m.most.Load())
		}
	})
}

// TestSpare: what counts the questions of a network counts those of another later. It is handed on
// empty, there are few of them, and whoever is still asking keeps its own.
func TestSpare(t *testing.T) {
	var b bounds
	asking := make([]*questions, 2*mostSpare)
	for n := range asking {
		q, err := b.enter(callerAt(session(fmt.Sprintf("192.0.2.%d", n)).RemoteAddr).context(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		asking[n] = q
	}
	again, err := b.enter(callerAt(session("192.0.2.0").RemoteAddr).context(t.Context()))
	if err != nil || again != asking[0] {
		t.Fatalf("the second question of a network is counted apart, %v", err)
	}
	b.leave(again)
	if len(b.spare) != 0 || b.one[asking[0].block] != asking[0] {
		t.Error("a network that is still asking is forgotten")
	}
	for _, q := range asking {
		b.leave(q)
	}
	if len(b.spare) != mostSpare || len(b.one) != 0 || len(b.all) != 0 {
		t.Errorf("%d are kept, of %d networks, %d places taken", len(b.spare), len(b.one), len(b.all))
	}
	for _, q := range b.spare {
		if q.n != 0 || len(q.places) != 0 {
			t.Errorf("one is handed on with %d questions and %d places taken", q.n, len(q.places))
		}
	}
}

// TestHonest: who sends what was begun is never kept from asking early.
func TestHonest(t *testing.T) {
	w, signers := newWorld(t)
	v := newVerifier(w, &rules)
	for range 3 * mostEarly {
		if _, refused := bring(t, v, signers, mail{from: "x@a.test", header: "From: x@a.test"}); refused != nil {
			t.Fatal(refused)
		}
	}
	if len(v.bounds.early) != 0 {
		t.Errorf("%v", v.bounds.early)
	}
}

// TestForgotten: the counts of those who begin in vain go with time, and are bounded.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bounds
		for n := range mostEarlyCounts + 10 {
			a := &net.TCPAddr{IP: net.IPv4(10, byte(n>>16), byte(n>>8), byte(n))}
			if ok := b.begins(callerAt(a).network); ok != (n < mostEarlyCounts) {
				t.Fatalf("client %d: %v", n, ok)
			}
		}
		time.Sleep(time.Minute)
		if !b.begins(callerAt(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}).network) || len(b.early) != 1 {
			t.Errorf("%d are counted", len(b.early))
		}
		a := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)}
		for range 2 * mostEarly {
			b.begins(callerAt(a).network)
		}
		if b.begins(callerAt(a).network) {
			t.Error("no end")
		}
		time.Sleep(earlyAgain)
		if !b.begins(callerAt(a).network) || b.begins(callerAt(a).network) {
			t.Error("one more after a while, and no second")
		}
		time.Sleep(time.Hour)
		for n := range mostEarly {
			if !b.begins(callerAt(a).network) {
				t.Fatalf("%d only", n)
			}
		}
	})
}
