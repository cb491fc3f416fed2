package smtptest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// session is what is due at the command that a session has just read.
type session struct {
	due Fault
	cut bool // it was cut off: what it has sent already is not obeyed
}

// instrument puts the Faults into the server's callbacks.
func (s *Server) instrument() {
	c := s.Config
	conn, helo, sender, rcpt, data, handler, done, trace := c.CheckConn, c.CheckHelo, c.CheckSender, c.CheckRcpt, c.CheckData, c.Handler, c.Done, c.Trace
	c.CheckConn = func(ctx context.Context, ss *smtp.Session) error {
		if conn != nil {
			if err := conn(ctx, ss); err != nil {
				return err
			}
		}
		return s.happen(ss, "connect")
	}
	c.CheckHelo = func(ctx context.Context, ss *smtp.Session, name string) error {
		if helo != nil {
			if err := helo(ctx, ss, name); err != nil {
				return err
			}
		}
		return s.reply(ss)
	}
	c.CheckSender = func(ctx context.Context, ss *smtp.Session, from smtp.Path, p *smtp.Params) error {
		if sender != nil {
			if err := sender(ctx, ss, from, p); err != nil {
				return err
			}
		}
		return s.reply(ss)
	}
	c.CheckRcpt = func(ctx context.Context, ss *smtp.Session, to *smtp.Recipient) error {
		if rcpt != nil {
			if err := rcpt(ctx, ss, to); err != nil {
				return err
			}
		}
		return s.reply(ss)
	}
	c.CheckData = func(ctx context.Context, ss *smtp.Session) error {
		if data != nil {
			if err := data(ctx, ss); err != nil {
				return err
			}
		}
		return s.reply(ss)
	}
	c.Handler = smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error { return s.serve(ctx, e, handler) })
	c.Done = func(ss *smtp.Session, sum *smtp.Summary) {
		if done != nil {
			done(ss, sum)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, ss)
		delete(s.conns, ss.RemoteAddr.String())
	}
	c.Trace = func(ss *smtp.Session, dir byte, line string) {
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
			return nil, errors.New("smtptest: a Fault at TLS")
		}
		if own != nil {
			return own(hello)
		}
		return nil, nil
	}
}

// command does what is due at a command line, but for replies, which are left
// to the callback.
func (s *Server) command(ss *smtp.Session, line string) {
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
func (s *Server) reply(ss *smtp.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.sessions[ss]
	switch {
	case at == nil:
		return nil
	case at.cut:
		return smtp.ErrUnavailable
	}
	return at.due.Reply
}

// happen does what is due at a place that is no command.
func (s *Server) happen(ss *smtp.Session, at string) error {
	f := s.due(at)
	s.do(ss, f)
	return f.Reply
}

func (s *Server) do(ss *smtp.Session, f Fault) {
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

// conn is a connection on which a reply can be replaced.
type conn struct {
	net.Conn
	mu  sync.Mutex
	raw string // to be written in place of what is written next
}

// replace has raw written in place of the next reply, or at once beside it.
func (c *conn) replace(raw string, now bool) {
	if now {
		c.Conn.Write([]byte(raw))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = raw
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	raw := c.raw
	c.raw = ""
	c.mu.Unlock()
	if raw == "" {
		return c.Conn.Write(p)
	}
	_, err := c.Conn.Write([]byte(raw))
	return len(p), err
}
