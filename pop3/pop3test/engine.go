package pop3test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/pop3"
)

// session is what is due at the command that a session has just read.
type session struct {
	due Fault
	cut bool // it was cut off: what it has sent already is not obeyed
}

// instrument puts the mailbox and the Faults into the server's callbacks.
func (s *Server) instrument() {
	c := s.Config
	check, backend, done, trace := c.CheckConn, c.Backend, c.Done, c.Trace
	c.CheckConn = func(ctx context.Context, ss *pop3.Session) error {
		if check != nil {
			if err := check(ctx, ss); err != nil {
				return err
			}
		}
		return s.happen(ss, "connect")
	}
	c.Backend = pop3.BackendFunc(func(ctx context.Context, ss *pop3.Session, account string) (pop3.Drop, error) {
		if err := s.happen(ss, "login"); err != nil {
			return nil, err
		}
		if backend != nil {
			return backend.Open(ctx, ss, account)
		}
		return s.open(ss)
	})
	c.Done = func(ss *pop3.Session, sum *pop3.Summary) {
		if done != nil {
			done(ss, sum)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, ss)
		delete(s.conns, ss.RemoteAddr.String())
	}
	c.Trace = func(ss *pop3.Session, dir byte, line string) {
		if trace != nil {
			trace(ss, dir, line)
		}
		if dir == 'r' {
			s.command(ss, line)
		}
	}
	if c.TLSConfig != nil {
		c.TLSConfig = c.TLSConfig.Clone()
		s.breakTLS(c.TLSConfig)
	}
}

// breakTLS fails handshakes where a Fault says so.
func (s *Server) breakTLS(config *tls.Config) {
	own := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		f := s.due("TLS")
		s.wait(f.Delay)
		if f.Cut {
			return nil, errFault
		}
		if own != nil {
			return own(hello)
		}
		return nil, nil
	}
}

// command does what is due at a command line, but for replies, which are left to
// the mailbox.
func (s *Server) command(ss *pop3.Session, line string) {
	s.mu.Lock()
	s.said = append(s.said, line)
	s.mu.Unlock()
	f := s.due(verb(line))
	s.mu.Lock()
	cut := f.Cut || s.sessions[ss] != nil && s.sessions[ss].cut
	s.sessions[ss] = &session{f, cut}
	s.mu.Unlock()
	s.do(ss, f)
}

// reply is the Reply due at the command at hand.
func (s *Server) reply(ss *pop3.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.sessions[ss]
	switch {
	case at == nil:
		return nil
	case at.cut:
		return errFault
	}
	return at.due.Reply
}

// happen does what is due at a place that is no command.
func (s *Server) happen(ss *pop3.Session, at string) error {
	f := s.due(at)
	s.do(ss, f)
	if f.Cut {
		return errFault
	}
	return f.Reply
}

func (s *Server) do(ss *pop3.Session, f Fault) {
	s.wait(f.Delay)
	switch {
	case f.Cut:
		ss.Close()
	case f.Raw != "":
		s.mu.Lock()
		c := s.conns[ss.RemoteAddr.String()]
		s.mu.Unlock()
		if c != nil {
			c.replace(f.Raw, ss.TLS != nil)
		}
	}
}

// wait waits, but not longer than the server lasts.
func (s *Server) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-s.closed:
	}
}

// open locks the mailbox.
func (s *Server) open(ss *pop3.Session) (pop3.Drop, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked {
		return nil, pop3.ErrInUse
	}
	s.locked = true
	return &drop{s, ss, slices.Clone(s.mailbox)}, nil
}

// drop is the mailbox in one session.
type drop struct {
	s    *Server
	ss   *pop3.Session
	list []Message
}

func (d *drop) Len() int         { return len(d.list) }
func (d *drop) Size(i int) int64 { return int64(len(d.list[i].Data)) }
func (d *drop) UID(i int) string { return d.list[i].UID }

func (d *drop) Open(_ context.Context, i int) (io.ReadCloser, error) {
	if err := d.s.reply(d.ss); err != nil {
		return nil, err
	}
	var text io.Reader = bytes.NewReader(d.list[i].Data)
	f := d.s.due("message")
	d.s.wait(f.Delay)
	if f.Cut {
		text = io.MultiReader(io.LimitReader(text, f.After), broken{})
	}
	return io.NopCloser(text), nil
}

// broken is a message that cannot be read further: the engine cuts the
// connection.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errFault }

func (d *drop) Remove(_ context.Context, is []int) error {
	if err := d.s.reply(d.ss); err != nil {
		return err
	}
	gone := make(map[string]bool)
	for _, i := range is {
		gone[d.list[i].UID] = true
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.mailbox = slices.DeleteFunc(d.s.mailbox, func(m Message) bool { return gone[m.UID] })
	return nil
}

func (d *drop) Close() error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.locked = false
	return nil
}

// listener makes conns.
type listener struct {
	net.Listener
	s *Server
}

func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.conns[nc.RemoteAddr().String()] = c
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
