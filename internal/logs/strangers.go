package logs

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// What strangers can have written down: so many lines at once, and one more
// each interval; for one address, and for all of them together. Otherwise who
// comes a thousand times a second fills the disk with the news of it.
const (
	linesPerBlock  = 200
	lineEvery      = time.Second
	linesOfAll     = 5000
	lineOfAllEvery = 20 * time.Millisecond
	// linesInterval is how often it is written down what was left out.
	linesInterval = time.Minute
	// lineBlocks bounds the table of addresses.
	lineBlocks = 1 << 14
)

// strangers counts the lines about strangers.
type strangers struct {
	mu     sync.Mutex
	blocks map[netip.Prefix]level
	all    level
	out    map[netip.Prefix]int // lines left out in this interval
	total  *atomic.Int64        // of them since the start; nil: nobody counts
}

// level is a leaky bucket.
type level struct {
	lines float64
	at    time.Time
}

// add takes a line if it fits.
func (l *level) add(now time.Time, most float64, every time.Duration) bool {
	l.lines = max(0, l.lines-float64(now.Sub(l.at))/float64(every))
	l.at = now
	if l.lines+1 > most {
		return false
	}
	l.lines++
	return true
}

// allow reports whether a line about an address is to be written. If it is the
// first of an interval that is not, first is true.
func (s *strangers) allow(from netip.Prefix, now time.Time) (ok, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, known := s.blocks[from]
	if !known && len(s.blocks) >= lineBlocks {
		for place := range s.blocks { // whoever: all have been here, and no choice is better
			delete(s.blocks, place)
			if len(s.blocks) < lineBlocks*15/16 {
				break
			}
		}
	}
	ok = own.add(now, linesPerBlock, lineEvery) && s.all.add(now, linesOfAll, lineOfAllEvery)
	if s.blocks == nil {
		s.blocks = make(map[netip.Prefix]level)
	}
	s.blocks[from] = own
	if ok {
		return true, false
	}
	if s.total != nil {
		s.total.Add(1)
	}
	first = s.out == nil
	if first {
		s.out = make(map[netip.Prefix]int)
	}
	if _, known := s.out[from]; !known && len(s.out) >= lineBlocks {
		from = netip.Prefix{}
	}
	s.out[from]++
	return false, first
}

// sum is what was left out, and begins a new interval.
func (s *strangers) sum() (lines int, addresses int, most netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for from, n := range s.out {
		lines += n
		if n > s.out[most] || !most.IsValid() {
			most = from
		}
	}
	addresses = len(s.out)
	s.out = nil
	return lines, addresses, most
}

// quietLog is a log that strangers cannot fill. What a fact says of somebody known,
// such as mail that was accepted or the session of a user, is never left out.
type quietLog struct {
	slog.Handler
	strangers *strangers
}

// Handle implements slog.Handler.
func (q quietLog) Handle(ctx context.Context, r slog.Record) error {
	from := aboutStranger(r)
	if !from.IsValid() {
		return q.Handler.Handle(ctx, r)
	}
	ok, first := q.strangers.allow(from, time.Now())
	if ok {
		return q.Handler.Handle(ctx, r)
	}
	if first {
		time.AfterFunc(linesInterval, q.tell)
	}
	return nil
}

// tell writes down what was left out.
func (q quietLog) tell() {
	lines, addresses, most := q.strangers.sum()
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines about strangers were left out", 0)
	r.AddAttrs(slog.Int("lines", lines), slog.Int("addresses", addresses), slog.String("most_from", most.String()))
	q.Handler.Handle(context.Background(), r)
}

// WithAttrs implements slog.Handler.
func (q quietLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietLog{q.Handler.WithAttrs(attrs), q.strangers}
}

// WithGroup implements slog.Handler.
func (q quietLog) WithGroup(name string) slog.Handler {
	return quietLog{q.Handler.WithGroup(name), q.strangers}
}

// fact is a value in a line, such as the summary of a session, that knows itself
// whom the line is about: Stranger is the address of a client who can have such
// lines written without end, and nil if the line is never to be left out.
type fact interface {
	slog.LogValuer
	Stranger() net.Addr
}

// aboutStranger is where a stranger whom the line tells of comes from; the zero
// Prefix if it tells of nobody, or of somebody who sent or fetched mail. A fact in
// the line decides; without one it is about the client at "remote", if there is one.
func aboutStranger(r slog.Record) (from netip.Prefix) {
	if r.Level < slog.LevelInfo || r.Level >= slog.LevelError {
		return from
	}
	r.Attrs(func(a slog.Attr) bool {
		if f, ok := a.Value.Any().(fact); ok {
			from = block(f.Stranger())
			return false
		}
		if a.Key == "remote" {
			if ap, err := netip.ParseAddrPort(a.Value.String()); err == nil {
				from = lineserver.Block(net.TCPAddrFromAddrPort(ap))
			}
		}
		return true
	})
	return from
}

// block is the network of an address; the zero Prefix of none, and of a client of
// this host.
func block(a net.Addr) netip.Prefix {
	if a == nil {
		return netip.Prefix{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	return lineserver.Block(net.TCPAddrFromAddrPort(ap))
}
