package relay

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// hostLoad bounds the attempts under way at one address, however many names lead
// to it: of each class of mail, so that what strangers cause leaves places to
// that of users. An address of which nothing has been heard yet gets a quarter.
// Those that come beyond stand in line as long as it moves.
type hostLoad struct {
	mu    sync.Mutex
	hosts map[loadKey]*load
}

// loadKey is an IPv4 address or an IPv6 /64, and whose mail it is.
type loadKey struct {
	network netip.Prefix
	class   queue.Class
}

// load is what is under way at one address.
type load struct {
	running int       // attempts, with those that wait for a greeting
	line    int       // attempts that would like to
	heard   bool      // it has greeted one of them, or one shortly before
	moved   time.Time // when something happened last
	change  chan struct{}
}

const (
	defaultPerAddress = 20
	// inLine is how long an attempt waits for others at the same address, and how
	// long they may go on without a sign of life before nobody waits for them.
	inLine   = 10 * time.Second
	maxLoads = 10000
)

func keyOf(addr netip.Addr, class queue.Class) loadKey {
	addr = plainAddr(addr)
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	network, _ := addr.Prefix(bits) // of an address without zone, it is no error
	return loadKey{network, class}
}

// enter waits until one more of most attempts may be made at an address, and
// returns what to call when it is over; nil where the line does not move.
func (h *hostLoad) enter(ctx context.Context, key loadKey, most int) (leave func()) {
	end := time.NewTimer(inLine)
	defer end.Stop()
	h.mu.Lock()
	l := h.load(key)
	l.line++
	for late := false; ; {
		now := time.Now()
		if l.running == 0 && l.line == 1 {
			l.moved = now
		}
		if l.running < l.most(most) {
			l.line--
			l.running++
			h.mu.Unlock()
			return func() { h.leave(l) }
		}
		stuck := l.moved.Add(inLine).Sub(now)
		if late || stuck <= 0 || ctx.Err() != nil {
			l.line--
			h.mu.Unlock()
			return nil
		}
		change := l.change
		h.mu.Unlock()
		select {
		case <-change:
		case <-end.C:
			late = true
		case <-time.After(stuck):
		case <-ctx.Done():
		}
		h.mu.Lock()
	}
}

func (h *hostLoad) load(key loadKey) *load {
	l := h.hosts[key]
	if l != nil {
		return l
	}
	if len(h.hosts) >= maxLoads {
		for k, l := range h.hosts {
			if l.running+l.line == 0 {
				delete(h.hosts, k)
			}
		}
	}
	if h.hosts == nil {
		h.hosts = make(map[loadKey]*load)
	}
	l = &load{change: make(chan struct{}), moved: time.Now()}
	h.hosts[key] = l
	return l
}

func (l *load) most(most int) int {
	if l.heard {
		return most
	}
	return max(1, most/4)
}

func (h *hostLoad) leave(l *load) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.running--
	l.stir()
}

// note takes note that an address has or has not answered.
func (h *hostLoad) note(key loadKey, heard bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.load(key)
	l.heard = heard
	if heard {
		l.stir()
	}
}

// stir tells those in line that something has happened.
func (l *load) stir() {
	l.moved = time.Now()
	close(l.change)
	l.change = make(chan struct{})
}
