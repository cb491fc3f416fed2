package mailtest

import "net"

// Pipe is net.Pipe with addresses ("192.0.2.1:50000") at its ends: client's
// remote address is server, and the other way round. Reading spoils what it does
// not fill of the reader's buffer, as Pieces does.
func Pipe(client, server string) (clientEnd, serverEnd net.Conn) {
	c, s := net.Pipe()
	ca, sa := tcpAddr(client), tcpAddr(server)
	return &end{c, ca, sa}, &end{s, sa, ca}
}

type end struct {
	net.Conn
	local, remote net.Addr
}

// Read implements io.Reader.
func (e *end) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	spoil(p[n:])
	return n, err
}

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return e.local }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return e.remote }

func tcpAddr(s string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		panic(err) // a mistake in a test
	}
	return a
}
