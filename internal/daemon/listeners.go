package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// proxyHeaderTimeout is how long a proxy may take to send its header.
const proxyHeaderTimeout = 10 * time.Second

// socket is one listening address. It stays open over reloads: the servers
// behind it come and go, each taking connections through a tap of its own.
type socket struct {
	listener net.Listener
	accepted chan accepted
	ended    chan struct{} // closed when nothing more comes out of accepted
	closed   chan struct{} // closed when nobody takes from accepted any more
	once     sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// openSocket listens on an address of the settings: host:port, or unix:/path.
func openSocket(address string) (*socket, error) {
	l, err := listenAt(address)
	if err != nil {
		return nil, err
	}
	return newSocket(l), nil
}

// listenAt listens, and says in words why it cannot.
func listenAt(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if err := removeStaleSocket(path); err != nil {
			return nil, err
		}
		return net.Listen("unix", path)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, explainListen(address, err)
	}
	return l, nil
}

// newSocket begins to accept.
func newSocket(l net.Listener) *socket {
	s := &socket{listener: l, accepted: make(chan accepted), ended: make(chan struct{}), closed: make(chan struct{})}
	go s.pump()
	return s
}

// removeStaleSocket removes a Unix socket that nobody answers at.
func removeStaleSocket(path string) error {
	if err := canBind(path); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// pump accepts for whichever tap asks next. Errors go to the taps as well,
// whose server waits before it asks again.
func (s *socket) pump() {
	defer close(s.ended)
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case s.accepted <- accepted{c, err}:
		case <-s.closed:
			if c != nil {
				c.Close()
			}
			return
		}
	}
}

// refuse accepts nothing from now on: new connections are refused by the
// system, or wait for whoever else holds the socket. A connection that has been
// accepted already still goes to a tap; the channel is closed when that is done.
func (s *socket) refuse() <-chan struct{} {
	s.listener.Close()
	return s.ended
}

// close is refuse for when there are no taps.
func (s *socket) close() {
	s.once.Do(func() { close(s.closed) })
	<-s.refuse()
}

// tap is a listener that takes connections from a socket until it is closed;
// the socket stays open.
type tap struct {
	*socket
	off  chan struct{}
	once sync.Once
}

func (s *socket) tap() *tap { return &tap{socket: s, off: make(chan struct{})} }

// Accept takes the next connection.
func (t *tap) Accept() (net.Conn, error) {
	select {
	case <-t.off:
		return nil, net.ErrClosed
	default:
	}
	select {
	case a := <-t.accepted:
		return a.conn, a.err
	case <-t.off:
		return nil, net.ErrClosed
	case <-t.ended:
		return nil, net.ErrClosed
	}
}

// Addr is the socket's address.
func (t *tap) Addr() net.Addr { return t.listener.Addr() }

// Close ends Accept.
func (t *tap) Close() error {
	t.once.Do(func() { close(t.off) })
	return nil
}

// behindProxy wraps l so that connections from the networks a listener trusts
// must begin with a PROXY protocol header, version 1 or 2, which is read
// before anything else, TLS included. From elsewhere such a header is just a
// wrong first line.
func behindProxy(l net.Listener, settings conf.Listener) net.Listener {
	if len(settings.ProxyFrom) == 0 {
		return l
	}
	return &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: proxyHeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if lineserver.Within(o.Upstream, settings.ProxyFrom) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}
}
