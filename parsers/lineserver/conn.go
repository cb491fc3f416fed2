package lineserver

import (
	"container/list"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Conn is a connection of a Group. Its read deadline goes through AwaitUntil
// and BusyUntil, so that a shutdown can wake a session that waits and leave
// alone one that works. Under TLS the session keeps the Conn for this and
// reads and writes through the tls.Conn on top.
type Conn struct {
	net.Conn
	// Refused is not Welcome when the session should say why and end.
	Refused Refusal

	ctx    context.Context
	cancel context.CancelFunc
	began  time.Time

	group *Group
	// Guarded by the pool's lock:
	inGroup, inPool *list.Element // among the strangers; nil if it is none
	block, network  *origin
	leaving         *time.Timer // closes a displaced connection

	mu        sync.Mutex
	waiting   bool
	shaking   bool      // hands, for TLS: a wait that is worth a little time
	limit     time.Time // of the handshake; zero for none
	stopping  bool
	displaced bool
	expelled  bool
}

// past is a read deadline that has been reached already.
var past = time.Unix(1, 0)

// Context ends when the connection has ended or was closed by force.
func (c *Conn) Context() context.Context { return c.ctx }

// AwaitUntil sets the read deadline for a wait that a shutdown may cut short,
// such as the wait for the next command. The zero time means none.
func (c *Conn) AwaitUntil(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.shaking = true, false
	if c.stopping {
		t = past
	}
	return c.Conn.SetReadDeadline(t)
}

// handshakeGrace is how long a TLS handshake may still take once a shutdown has
// begun.
const handshakeGrace = 5 * time.Second

// Handshake runs shake, a TLS handshake, as a wait of at most limit, none if that
// is negative. A shutdown leaves it a few seconds, as only what follows it can tell
// the client why the session ends. shake's context ends with the time.
func (c *Conn) Handshake(limit time.Duration, shake func(context.Context) error) error {
	deadline := Deadline(time.Now(), limit)
	ctx, cancel := c.ctx, context.CancelFunc(func() {})
	if !deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, deadline)
	}
	defer cancel()
	c.handshakeUntil(deadline)
	defer c.BusyUntil(time.Time{})
	return shake(ctx)
}

func (c *Conn) handshakeUntil(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.shaking, c.limit = true, true, t
	if c.stopping {
		t = c.grace()
	}
	c.Conn.SetReadDeadline(t)
}

// grace is when a handshake has to be over in a shutdown.
func (c *Conn) grace() time.Time {
	at := time.Now().Add(handshakeGrace)
	if !c.limit.IsZero() && c.limit.Before(at) {
		return c.limit
	}
	return at
}

// BusyUntil sets the read deadline for work in progress, such as a message
// being received, which a shutdown lets finish.
func (c *Conn) BusyUntil(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.shaking = false, false
	if c.expelled {
		t = past
	}
	return c.Conn.SetReadDeadline(t)
}

// Expel has the session end as soon as it can say why: it reads nothing more, also not what is left of a message. A client that does not
// read either is cut off after a few seconds.
func (c *Conn) Expel() {
	unlock := c.group.lock()
	c.group.keep(c)
	if c.leaving == nil {
		c.leaving = c.dismiss()
	}
	unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping, c.expelled = true, true
	c.Conn.SetReadDeadline(past)
}

// dismiss closes the connection once there was time for a last word.
func (c *Conn) dismiss() *time.Timer {
	return time.AfterFunc(farewell, func() { c.cancel(); c.Conn.Close() })
}

// Expelled reports whether the session is to end, as Stopping says, and to obey no command any more.
func (c *Conn) Expelled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expelled
}

// Stopping reports whether a shutdown asks the session to end at the next
// opportunity.
func (c *Conn) Stopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	switch {
	case c.shaking && !c.displaced:
		c.Conn.SetReadDeadline(c.grace())
	case c.waiting:
		c.Conn.SetReadDeadline(past)
	}
}

// How long, and for how much, a client that is cut off is waited for.
const (
	lingering    = 2 * time.Second
	lingerOctets = 4 << 20
)

// LetRead gives a client that is still sending the time to read why it is cut
// off: octets that nobody had read when a connection is closed make the other
// side forget what it has received (RFC 1122 §4.2.2.13). over is what the
// session has written to: c, what is below it, or TLS on top.
func (c *Conn) LetRead(over net.Conn) {
	if over == net.Conn(c) {
		over = c.Conn
	}
	half, ok := over.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if until := time.Now().Add(lingering); c.Expelled() {
		c.Conn.SetReadDeadline(until)
	} else {
		c.AwaitUntil(until)
	}
	io.CopyN(io.Discard, over, lingerOctets)
}
