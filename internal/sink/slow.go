package sink

import (
	"net"
	"sync"
	"time"
)

// Slow is a listener whose connections say ten octets a second. Within TLS, where an answer is one piece, it comes as late as its last
// octet would.
type Slow struct{ net.Listener }

// Accept implements net.Listener.
func (l Slow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{Conn: conn, gone: make(chan struct{})}, nil
}

// slowOctet is how long one takes; longestAnswer how long an answer within TLS may be held back.
const (
	slowOctet     = time.Second / 10
	longestAnswer = 4 * time.Minute
)

type slowConn struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

// The kinds of records of TLS (RFC 8446 §5.1): an answer of SMTP begins with a digit.
const (
	recordFirst = 20
	recordData  = 23
	recordOver  = 22 // octets of a record that are none of what it carries, about
)

// Write implements io.Writer. It ends when the connection is closed.
func (c *slowConn) Write(p []byte) (n int, err error) {
	if len(p) > 0 && p[0] >= recordFirst && p[0] <= recordData {
		if p[0] == recordData {
			c.wait(min(time.Duration(max(len(p)-recordOver, 0))*slowOctet, longestAnswer))
		}
		return c.Conn.Write(p)
	}
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		c.wait(slowOctet)
	}
	return len(p), nil
}

func (c *slowConn) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.gone:
	}
}

// Close implements io.Closer.
func (c *slowConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}
