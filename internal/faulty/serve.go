package faulty

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// Certify makes a certificate for 127.0.0.1 and localhost.
func (e *Engine) Certify() (*x509.Certificate, *tls.Config) {
	certPEM, keyPEM, err := certs.SelfSigned("127.0.0.1", "localhost")
	e.must(err)
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	e.must(err)
	return cert.Leaf, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
}

func (e *Engine) must(err error) {
	if err != nil {
		panic(e.name + ": " + err.Error())
	}
}

// Trusting is the configuration of a client that trusts cert; nil where that is.
func Trusting(cert *x509.Certificate) *tls.Config {
	if cert == nil {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// BreakTLS is c, which may be nil, with handshakes that fail where a Fault says so.
func (e *Engine) BreakTLS(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	own := c.GetConfigForClient
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		f := e.Due("TLS", "")
		e.Wait(f.Delay)
		if f.Cut {
			return nil, Err
		}
		if own != nil {
			return own(hello)
		}
		return nil, nil
	}
	return c
}

// Start listens on an address of the loopback interface, which it returns, and
// serves. It panics if it cannot.
func (e *Engine) Start(serve func(net.Listener) error) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	e.must(err)
	failed := make(chan error, 1)
	e.serving.Go(func() { failed <- serve(&listener{l, e}) })
	select {
	case err := <-failed:
		e.must(err)
	case <-time.After(10 * time.Millisecond): // what is wrong with the settings shows at once
	}
	return l.Addr().String()
}

// Close closes the server and waits for its sessions. It may be called again.
func (e *Engine) Close(s interface {
	Close() error
	Sessions() int
}) {
	e.mu.Lock()
	select {
	case <-e.closed:
	default:
		close(e.closed)
	}
	e.mu.Unlock()
	s.Close()
	e.serving.Wait()
	for s.Sessions() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// listener makes conns.
type listener struct {
	net.Listener
	e *Engine
}

func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc}
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	l.e.conns[nc.RemoteAddr().String()] = c
	return c, nil
}

// conn is a connection on which an answer can be replaced. It gives a line at a
// time to the server, so that no two answers leave in one piece.
type conn struct {
	net.Conn
	ahead []byte // read from the network and not by the server

	mu   sync.Mutex
	raw  string // to be written in place of the next answer
	mute bool   // it was; the rest of the answer is dropped
}

// replace has raw written in place of the next answer, or at once beside it.
func (c *conn) replace(raw string, now bool) {
	if now {
		c.Conn.Write([]byte(raw))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = raw
}

func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.mute = false
	c.mu.Unlock()
	if len(c.ahead) == 0 {
		b := make([]byte, 4096)
		n, err := c.Conn.Read(b)
		if n == 0 {
			return 0, err
		}
		c.ahead = b[:n]
	}
	line := c.ahead
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
	}
	n := copy(p, line)
	c.ahead = c.ahead[n:]
	return n, nil
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	raw := c.raw
	if raw != "" {
		c.raw, c.mute = "", true
	}
	mute := c.mute
	c.mu.Unlock()
	switch {
	case raw != "":
		_, err := c.Conn.Write([]byte(raw))
		return len(p), err
	case mute:
		return len(p), nil
	}
	return c.Conn.Write(p)
}
