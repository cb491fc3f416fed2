package netserve

import "time"

const (
	// busyPatience is how many times as long as Patience a stranger may stay
	// who is not waiting but at work, such as sending a message.
	busyPatience = 30
	// farewell is how long a displaced connection has to hear why.
	farewell = 5 * time.Second
)

// Keep says that the client is no stranger any more: it has logged in. It is
// then not displaced.
func (c *Conn) Keep() {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	c.group.keep(c)
}

// Displaced says whether the session is to end, as Stopping says, because
// somebody else needs its place.
func (c *Conn) Displaced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.displaced
}

func (g *Group) keep(c *Conn) {
	if c.stranger != nil {
		g.strangers.Remove(c.stranger)
		c.stranger = nil
	}
}

// makeRoom displaces the stranger that has been here longest, if anybody has
// been here for long enough; first those who only wait. g.mu is held.
func (g *Group) makeRoom(now time.Time) bool {
	if g.Patience <= 0 {
		return false
	}
	var busy *Conn
	for e := g.strangers.Front(); e != nil; e = e.Next() {
		c := e.Value.(*Conn)
		here := now.Sub(c.began)
		if here < g.Patience {
			break // and all behind are younger still
		}
		if c.idle() {
			g.displace(c)
			return true
		}
		if busy == nil && here >= busyPatience*g.Patience {
			busy = c
		}
	}
	if busy == nil {
		return false
	}
	g.displace(busy)
	return true
}

// displace wakes the session, which should say why and end, and sees to it
// that it does: the client may be one that does not read.
func (g *Group) displace(c *Conn) {
	g.keep(c)
	c.leaving = time.AfterFunc(farewell, func() { c.cancel(); c.Conn.Close() })
	c.mu.Lock()
	c.displaced = true
	c.mu.Unlock()
	c.wake()
}

func (c *Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}
