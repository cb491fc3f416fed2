// Package netserve is what every line-protocol server does around its
// sessions: accept with back-off, count and cap connections, wake the idle
// ones at shutdown and wait for the busy ones. It knows no protocol.
package netserve

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ErrClosed is what Serve returns after Shutdown or Close.
var ErrClosed = errors.New("netserve: server closed")

// overflow is how many connections above the cap get a polite refusal at a
// time; more are closed without a word, so that a flood costs no goroutines.
const overflow = 64

// Group is the connections of one server. The zero value has no caps.
// Its fields must not change once it serves.
type Group struct {
	MaxConns    int          // connections at a time; 0 means no cap
	MaxPerBlock int          // connections at a time from one Block, for IP addresses; 0 means no cap
	Log         *slog.Logger // nil means slog.Default()

	// Patience is how long a stranger (a Conn without Keep) may stay when
	// MaxConns is reached and somebody else is at the door: who has been here
	// longest makes room. Without it, idle strangers could keep everybody out
	// for as long as their sessions last. 0 means that nobody makes room.
	Patience time.Duration

	mu        sync.Mutex
	stopping  bool
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	blocks    map[netip.Prefix]int
	strangers list.List     // of *Conn, who came first in front
	ended     chan struct{} // closed when conns is empty; nil if nobody waits for that
}

// Refusal says why a connection should be turned away.
type Refusal int

// The reasons.
const (
	Welcome   Refusal = iota
	TooMany           // MaxConns reached
	TooMuchOf         // MaxPerBlock reached
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
		return ErrClosed
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
		case g.Stopping():
			return ErrClosed
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
	g.mu.Lock()
	defer g.mu.Unlock()
	refusal := Welcome
	switch {
	case g.stopping:
		refusal = Stopping
	case g.MaxConns > 0 && len(g.conns) >= g.MaxConns+overflow:
		c.Close()
		return nil
	case g.MaxConns > 0 && len(g.conns) >= g.MaxConns:
		refusal = TooMany
	}
	ctx, cancel := context.WithCancel(context.Background())
	conn := &Conn{Conn: c, Refused: refusal, group: g, began: time.Now(), ctx: ctx, cancel: cancel}
	if g.conns == nil {
		g.conns = make(map[*Conn]struct{})
	}
	g.conns[conn] = struct{}{}
	return conn
}

// run asks for the remote address only here, in the connection's own
// goroutine: behind a proxy the answer has to be read from the connection.
func (g *Group) run(conn *Conn, handle func(*Conn)) {
	block := Block(conn.RemoteAddr())
	g.mu.Lock()
	switch {
	case conn.Refused == Stopping:
	case g.MaxPerBlock > 0 && block.IsValid() && g.blocks[block] >= g.MaxPerBlock:
		conn.Refused = TooMuchOf
	case conn.Refused == TooMany && g.makeRoom(conn.began):
		conn.Refused = Welcome
	}
	if conn.Refused == Welcome {
		conn.stranger = g.strangers.PushBack(conn)
	}
	if g.blocks == nil {
		g.blocks = make(map[netip.Prefix]int)
	}
	g.blocks[block]++
	g.mu.Unlock()
	defer func() {
		conn.cancel()
		conn.Conn.Close()
		g.mu.Lock()
		g.keep(conn)
		if conn.leaving != nil {
			conn.leaving.Stop()
		}
		delete(g.conns, conn)
		if g.blocks[block]--; g.blocks[block] == 0 {
			delete(g.blocks, block)
		}
		if len(g.conns) == 0 && g.ended != nil {
			close(g.ended)
			g.ended = nil
		}
		g.mu.Unlock()
	}()
	handle(conn)
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
	g.mu.Lock()
	defer g.mu.Unlock()
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
	g.mu.Lock()
	g.stopping = true
	for l := range g.listeners {
		l.Close()
	}
	conns := make([]*Conn, 0, len(g.conns))
	for c := range g.conns {
		conns = append(conns, c)
	}
	g.mu.Unlock()
	for _, c := range conns {
		each(c)
	}
}

// Stopping says whether Shutdown or Close has been called.
func (g *Group) Stopping() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopping
}

// Len is the number of connections now.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

func (g *Group) track(l net.Listener, add bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
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

func (g *Group) log() *slog.Logger {
	if g.Log != nil {
		return g.Log
	}
	return slog.Default()
}
