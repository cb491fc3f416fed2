package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// What a connection may take. A request is small, and so is what is answered.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 20 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 30 * time.Second
	headerOctets  = 32 << 10
	// patience is how long a connection may stay when there are as many as there may be and
	// somebody else waits.
	patience = 5 * time.Second
	// perMinute is how many connections one address may make: TLS is what costs most of
	// all that is done here, and an office of a hundred mail programs is no flood.
	perMinute = 6000
)

// Server serves HTTP, so that a flood of connections takes no more than it may. Its fields must
// not change once it serves.
type Server struct {
	Handler http.Handler
	// TLSConfig is that of HTTPS; nil: HTTP is spoken.
	TLSConfig *tls.Config
	// MaxConns and MaxConnsPerBlock are how many connections there may be at a time, of all
	// and of one IPv4 address or IPv6 /64.
	MaxConns, MaxConnsPerBlock int
	Log                        *slog.Logger

	once  sync.Once
	http  http.Server
	group lineserver.Group
}

func (s *Server) init() {
	s.http = http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerOctets,
		// Handshakes that fail, above all: strangers could fill the log with them.
		ErrorLog:  slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		Protocols: new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	s.group = lineserver.Group{
		MaxConns: s.MaxConns, MaxPerBlock: s.MaxConnsPerBlock, PerMinute: perMinute, Patience: patience, Log: s.Log,
	}
}

// Serve takes connections from l until Shutdown or Close, and then returns
// http.ErrServerClosed. It closes l.
func (s *Server) Serve(l net.Listener) error {
	s.once.Do(s.init)
	b := &bounded{Listener: l, group: &s.group, conns: make(chan net.Conn), ended: make(chan struct{})}
	go b.run()
	if s.TLSConfig == nil {
		return s.http.Serve(b)
	}
	return s.http.Serve(tls.NewListener(b, s.TLSConfig))
}

// Shutdown takes no more connections, ends those that have asked for nothing, and waits for
// requests that are being answered.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(s.init)
	woken := make(chan error, 1)
	go func() { woken <- s.group.Shutdown(ctx) }()
	return errors.Join(s.http.Shutdown(ctx), <-woken)
}

// Close ends everything at once.
func (s *Server) Close() error {
	s.once.Do(s.init)
	return errors.Join(s.http.Close(), s.group.Close())
}

// bounded is a listener whose connections are counted and capped as those of the mail
// protocols are.
type bounded struct {
	net.Listener
	group *lineserver.Group
	conns chan net.Conn // admitted
	ended chan struct{}
	once  sync.Once
}

func (b *bounded) run() {
	b.group.Serve(b.Listener, b.admit)
	b.Close()
}

// tooMany is for whom there is no place, if HTTP is spoken. Under TLS nobody could read it.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// admit hands a connection to the HTTP server, and returns when it has been closed.
func (b *bounded) admit(c *lineserver.Conn) {
	if c.Refused != lineserver.Welcome {
		c.SetWriteDeadline(time.Now().Add(time.Second))
		c.Write([]byte(tooMany))
		return
	}
	held := &conn{Conn: c, closed: make(chan struct{})}
	select {
	case b.conns <- held:
		<-held.closed
	case <-b.ended:
	}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.ended) })
	return b.Listener.Close()
}

// conn is a connection whose reads are waits that may be cut short when somebody else needs
// its place.
type conn struct {
	*lineserver.Conn
	once   sync.Once
	closed chan struct{}
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.AwaitUntil(t) }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.AwaitUntil(t), c.SetWriteDeadline(t))
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}
