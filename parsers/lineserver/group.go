// Package lineserver is what every server of a line protocol does around its
// sessions: accept with back-off, count and cap connections, wake the idle ones at
// shutdown and wait for the busy ones. It knows no protocol; smtp and pop3 stand
// on it, and a third one can.
//
//	var g lineserver.Group
//	err := g.Serve(listener, func(c *lineserver.Conn) {
//		if c.Refused != lineserver.Welcome {
//			return // or say why, in the protocol's words
//		}
//		r := textual.NewReader(c)
//		for {
//			c.AwaitUntil(time.Now().Add(5 * time.Minute)) // Shutdown ends this wait
//			line, err := r.ReadLine(512)
//			if err != nil {
//				return
//			}
//			c.BusyUntil(time.Time{}) // and not this work
//			answer(c, line)
//		}
//	})
//
// Beside that it has what such servers share so that it is written once, and means
// the same everywhere: the defaults of limits ([Defaults]), deadlines
// ([Deadline], [Earlier]), modes of TLS ([TLSMode]), who a session is and its lines
// in the log ([Identity]), panics in callbacks ([Identity.Protect]), transcripts ([Transcript], [Printable]) and what proxies tell ([Attributes]).
package lineserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// ErrClosed is what Serve returns after Shutdown or Close.
var ErrClosed = errors.New("lineserver: closed")

// overflow is how many connections above the cap get a polite refusal at a
// time; more are closed without a word, so that a flood costs no goroutines.
const overflow = 64

// Group is the connections of one server. The zero value has no caps; a number or
// a time that is 0 or negative is none.
// Its fields must not change once it serves.
type Group struct {
	MaxConns    int          // connections at a time
	MaxPerBlock int          // connections at a time from one Block, four times as many from one IPv6 /48
	Log         *slog.Logger // nil means slog.Default()

	// PerMinute is how many connections a minute one Block may make, half of
	// them at once. It does not bind loopback addresses and
	// those in Free.
	PerMinute int
	Free      []netip.Prefix

	// Pool is what this group shares with others; nil if nothing.
	Pool *Pool

	// Patience is how long a stranger (a Conn without Keep) may stay when
	// MaxConns is reached and somebody else waits: who has been here
	// longest makes room. Strangers from one Block share it: of ten, each has a
	// tenth. Without it, idle strangers could keep everybody out for as long as
	// their sessions last.
	Patience time.Duration

	own Pool // where Pool is nil

	// Closed is what Serve returns after Shutdown or Close; nil means ErrClosed.
	Closed error

	// Guarded by the pool's lock:
	stopping  bool
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	origins   map[netip.Prefix]*origin
	strangers strangerList
	arrivals  map[netip.Prefix]arrival
	ended     chan struct{} // closed when conns is empty; nil if nobody waits for that
}

// Refusal says why a connection should be turned away.
type Refusal int

// The reasons.
const (
	Welcome   Refusal = iota
	TooMany           // MaxConns reached, the group's or the pool's
	TooMuchOf         // MaxPerBlock reached
	TooOften          // PerMinute reached
	Stopping          // Shutdown has begun
)

// Serve accepts connections and calls handle for each in a goroutine of its
// own, until Shutdown or Close. It closes l. It always returns an error, which
// is ErrClosed after a shutdown. Temporary errors of Accept (no descriptors
// left, a connection reset before it was taken) are waited out, 5 ms doubling
// to 1 s.
func (g *Group) Serve(l net.Listener, handle func(*Conn)) error {
	defer l.Close()
	if !g.track(l, true) {
		return g.closed()
	}
	defer g.track(l, false)
	var delay time.Duration
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			if conn := g.admit(c); conn != nil {
				go g.run(conn, handle)
			}
		case g.isStopping():
			return g.closed()
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			g.log().Warn("accept failed", "addr", l.Addr().String(), "err", err, "retry_in", delay)
			time.Sleep(delay)
		}
	}
}

// ListenAndServe listens on addr and serves what comes.
func ListenAndServe(addr string, serve func(net.Listener) error) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return serve(l)
}

// ServeConn runs handle for a connection that came from elsewhere and returns
// when it has ended. The caps apply.
func (g *Group) ServeConn(c net.Conn, handle func(*Conn)) {
	if conn := g.admit(c); conn != nil {
		g.run(conn, handle)
	}
}

// admit makes a Conn of c, or closes it and returns nil if there are too many
// even to say so.
func (g *Group) admit(c net.Conn) *Conn {
	p := g.pool()
	p.mu.Lock()
	defer p.mu.Unlock()
	refusal := Welcome
	switch {
	case g.stopping:
		refusal = Stopping
	case g.MaxConns > 0 && len(g.conns) >= g.MaxConns+overflow, p.MaxConns > 0 && p.conns >= p.MaxConns+overflow:
		c.Close()
		return nil
	case g.MaxConns > 0 && len(g.conns) >= g.MaxConns, p.MaxConns > 0 && p.conns >= p.MaxConns:
		refusal = TooMany
	}
	ctx, cancel := context.WithCancel(context.Background())
	conn := &Conn{Conn: c, Refused: refusal, group: g, began: time.Now(), ctx: ctx, cancel: cancel}
	if g.conns == nil {
		g.conns = make(map[*Conn]struct{})
	}
	g.conns[conn] = struct{}{}
	p.conns++
	return conn
}

// run asks for the remote address only here, in the connection's own
// goroutine: behind a proxy the answer has to be read from the connection.
func (g *Group) run(conn *Conn, handle func(*Conn)) {
	from, _ := IP(conn.RemoteAddr())
	g.enter(conn, from)
	defer g.leave(conn)
	handle(conn)
}

// enter decides whether the connection, now that it is known where it comes
// from, is served.
func (g *Group) enter(conn *Conn, from netip.Addr) {
	p := g.pool()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case conn.Refused == Stopping:
	case !g.timely(from, conn.began):
		conn.Refused = TooOften
	case g.atCap(from):
		conn.Refused = TooMuchOf
	case conn.Refused == TooMany && g.makeRoom(conn.began):
		conn.Refused = Welcome
	}
	conn.block, conn.network = g.from(block(from)), g.from(network(from))
	conn.block.conns++
	conn.network.conns++
	if conn.Refused == Welcome {
		g.strange(conn)
	}
}

func (g *Group) leave(conn *Conn) {
	conn.cancel()
	conn.Conn.Close()
	p := g.pool()
	p.mu.Lock()
	g.keep(conn)
	if conn.leaving != nil {
		conn.leaving.Stop()
	}
	delete(g.conns, conn)
	p.conns--
	g.forget(conn.block)
	g.forget(conn.network)
	if len(g.conns) == 0 && g.ended != nil {
		close(g.ended)
		g.ended = nil
	}
	p.mu.Unlock()
}

// Shutdown stops accepting, wakes every connection that waits for a command
// (its read fails with a timeout and Conn.Stopping turns true), and waits for
// all to end. When ctx ends first, it closes what is left and returns ctx's
// error.
func (g *Group) Shutdown(ctx context.Context) error {
	g.stop(func(c *Conn) { c.wake() })
	select {
	case <-g.allEnded():
		return nil
	case <-ctx.Done():
	}
	g.Close()
	return ctx.Err()
}

// allEnded is closed once there is no connection. (A WaitGroup would not do:
// connections from elsewhere may still come and be turned away.)
func (g *Group) allEnded() <-chan struct{} {
	defer g.lock()()
	if g.ended == nil {
		g.ended = make(chan struct{})
	}
	ended := g.ended
	if len(g.conns) == 0 {
		close(g.ended)
		g.ended = nil
	}
	return ended
}

// Close closes listeners and connections at once, and cancels the
// connections' contexts.
func (g *Group) Close() error {
	g.stop(func(c *Conn) { c.cancel(); c.Conn.Close() })
	return nil
}

func (g *Group) stop(each func(*Conn)) {
	unlock := g.lock()
	g.stopping = true
	for l := range g.listeners {
		l.Close()
	}
	conns := make([]*Conn, 0, len(g.conns))
	for c := range g.conns {
		conns = append(conns, c)
	}
	unlock()
	for _, c := range conns {
		each(c)
	}
}

func (g *Group) isStopping() bool {
	defer g.lock()()
	return g.stopping
}

// Len is the number of connections now.
func (g *Group) Len() int {
	defer g.lock()()
	return len(g.conns)
}

func (g *Group) track(l net.Listener, add bool) bool {
	defer g.lock()()
	if !add {
		delete(g.listeners, l)
		return true
	}
	if g.stopping {
		return false
	}
	if g.listeners == nil {
		g.listeners = make(map[net.Listener]struct{})
	}
	g.listeners[l] = struct{}{}
	return true
}

func (g *Group) pool() *Pool {
	if g.Pool != nil {
		return g.Pool
	}
	return &g.own
}

func (g *Group) lock() (unlock func()) {
	p := g.pool()
	p.mu.Lock()
	return p.mu.Unlock
}

func (g *Group) closed() error {
	if g.Closed != nil {
		return g.Closed
	}
	return ErrClosed
}

func (g *Group) log() *slog.Logger {
	if g.Log != nil {
		return g.Log
	}
	return slog.Default()
}
