package lineserver

import (
	"container/list"
	"time"
)

const (
	// busyPatience is how many times as long as Patience a stranger may stay
	// who is not waiting but at work, such as sending a message.
	busyPatience = 30
	// farewell is how long a displaced connection has to hear why.
	farewell = 5 * time.Second
	// lookAgain is how long nobody is looked for who could make room after
	// nobody was found: a look costs time for each connection.
	lookAgain = 20 * time.Millisecond
)

// strangerList is strangers, of *Conn, who came first in front.
type strangerList struct {
	list.List
	looked time.Time // and nobody could make room
}

// Keep says that the client is no stranger any more: it has logged in. It is
// then not displaced.
func (c *Conn) Keep() {
	defer c.group.lock()()
	c.group.keep(c)
}

// Displaced reports whether the session is to end, as Stopping says, because
// somebody else needs its place.
func (c *Conn) Displaced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.displaced
}

// strange notes that c is a stranger, until keep. The pool's lock is held,
// here and below.
func (g *Group) strange(c *Conn) {
	c.inGroup, c.inPool = g.strangers.PushBack(c), g.pool().strangers.PushBack(c)
	c.block.strangers++
	c.network.strangers++
}

func (g *Group) keep(c *Conn) {
	if c.inGroup == nil {
		return
	}
	g.strangers.Remove(c.inGroup)
	g.pool().strangers.Remove(c.inPool)
	c.inGroup, c.inPool = nil, nil
	c.block.strangers--
	c.network.strangers--
}

// makeRoom displaces a stranger for somebody who has come: one of this group if
// that is full, else one of all groups.
func (g *Group) makeRoom(now time.Time) bool {
	p := g.pool()
	switch {
	case g.MaxConns > 0 && len(g.conns) > g.MaxConns:
		return g.strangers.makeRoom(now)
	case p.MaxConns > 0 && p.conns > p.MaxConns:
		return p.strangers.makeRoom(now)
	}
	return true // somebody has left meanwhile
}

// makeRoom displaces the stranger who has been here longest, if anybody has
// been here for long enough; first those who only wait. Patience is shared:
// the time of one of many from the same place counts as often as there are.
func (s *strangerList) makeRoom(now time.Time) bool {
	if now.Sub(s.looked) < lookAgain {
		return false
	}
	var waiting, busy candidate
	for e := s.Front(); e != nil; e = e.Next() {
		c := e.Value.(*Conn)
		patience := c.group.Patience
		if patience <= 0 {
			continue
		}
		here := now.Sub(c.began) * time.Duration(c.weight())
		if c.idle() {
			waiting.better(c, here, patience)
		} else {
			busy.better(c, here, busyPatience*patience)
		}
	}
	chosen := waiting.conn
	if chosen == nil {
		chosen = busy.conn
	}
	if chosen == nil {
		s.looked = now
		return false
	}
	chosen.group.displace(chosen)
	return true
}

// candidate is who makes room, as far as one has looked.
type candidate struct {
	conn *Conn
	here time.Duration
}

func (k *candidate) better(c *Conn, here, patience time.Duration) {
	if here >= patience && (k.conn == nil || here > k.here) {
		k.conn, k.here = c, here
	}
}

// displace wakes the session, which should say why and end, and sees to it
// that it does: the client may be one that does not read.
func (g *Group) displace(c *Conn) {
	g.keep(c)
	c.leaving = c.dismiss()
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
