package control

import (
	"net"
	"sync"
)

// MaxPerUser is how many connections one user of this host may have at a
// socket. A program that opens them without end must not take the daemon's
// descriptors, which all mail needs.
const MaxPerUser = 50

// users counts connections by user id.
type users struct {
	mu    sync.Mutex
	conns map[uint32]int
}

// conn is a connection that is counted until it is closed.
type conn struct {
	net.Conn
	once sync.Once
	done func()
}

// Close ends the connection.
func (c *conn) Close() error {
	c.once.Do(c.done)
	return c.Conn.Close()
}

// Accept takes the next connection of a user who has not too many.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if counted := l.count(c); counted != nil {
			return counted, nil
		}
		c.Close()
	}
}

// count returns nil for one connection too many. Where the system cannot tell
// users apart, all are one.
func (u *users) count(c net.Conn) net.Conn {
	var uid uint32
	if unix, ok := c.(*net.UnixConn); ok {
		uid, _ = peerUID(unix)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conns[uid] >= MaxPerUser {
		return nil
	}
	if u.conns == nil {
		u.conns = make(map[uint32]int)
	}
	u.conns[uid]++
	return &conn{Conn: c, done: func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.conns[uid]--; u.conns[uid] == 0 {
			delete(u.conns, uid)
		}
	}}
}
