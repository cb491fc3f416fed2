package pop3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// Session is one connection, as callbacks see it. Its ID is in every -ERR.
type Session struct {
	lineserver.Identity
	UTF8 bool // the client sent UTF8 (RFC 6856 §2.1)
}

// session is one connection, as the server sees it. It lives as long as its
// goroutine; everything it holds while idle counts ten thousand times.
type session struct {
	srv *Server
	pub Session

	conn *lineserver.Conn // for deadlines
	net  net.Conn         // what is read and written: conn, or TLS on top of it
	r    textual.Reader
	w    output
	ctx  context.Context // conn's, with peer

	state     state
	peer      sasl.Peer
	trusted   bool        // may send XCLIENT
	values    map[any]any // what CheckConn left in Values
	name      string      // what USER said
	args      args        // of the command at hand: here, so that it is not allocated
	timestamp string      // of the greeting, if it invites to APOP
	box       box

	tracing    bool
	errors     int    // refused commands
	authErrors int    // failed logins
	linger     bool   // the client is cut off, and may be sending
	cut        bool   // nothing may be said any more: a text was begun and not ended, or TLS failed
	why        string // it ended, for the log
	tally      Summary
}

// state is a set of RFC 1939's states, as a set so that a command can have
// several. UPDATE is not among them: no command is read in it.
type state uint8

const (
	authorization state = 1 << iota
	transaction
)

// session serves one connection.
func (s *Server) session(nc *lineserver.Conn) {
	c := &session{srv: s, conn: nc, net: nc, state: authorization}
	c.pub.Identity = lineserver.NewIdentity(nc)
	c.trusted = lineserver.Within(c.pub.RemoteAddr, s.XClient)
	c.tracing = s.tracing(nc.Context())
	c.bind(nil)
	defer c.end()
	if s.Done != nil && nc.Refused == lineserver.Welcome {
		defer c.protect(func() error { s.Done(&c.pub, c.summary()); return nil })
	}
	err := c.pub.Protect(s.conf.log, func() error {
		if c.open() {
			c.run()
		}
		return nil
	})
	if err != nil {
		c.apologise()
	}
}

// bind makes over (nil at the beginning) the connection below, and forgets all
// that was learnt on the one before (RFC 2595 §4).
func (c *session) bind(over *tls.Conn) {
	c.name, c.pub.UTF8, c.pub.Values, c.pub.TLS = "", false, maps.Clone(c.values), nil
	if over != nil {
		state := over.ConnectionState()
		c.net, c.pub.TLS = over, &state
	}
	c.r.Reset(c.net)
	c.r.Tolerant = true // a command that ends in LF alone harms nobody
	c.w.reset(c.net, c.srv.conf.limits.Reply)
	c.peer = sasl.Peer{Service: "pop", Hostname: c.srv.conf.hostname, RemoteAddr: c.pub.RemoteAddr, TLS: c.pub.TLS, Session: c.pub.ID}
	c.ctx = sasl.WithPeer(c.conn.Context(), &c.peer)
}

// open does what comes before the first command.
func (c *session) open() bool {
	implicit := c.srv.TLSMode == ImplicitTLS
	if c.conn.Refused != lineserver.Welcome {
		c.why = "refused: " + refusals[c.conn.Refused]
		if !implicit {
			c.say(failure(CodeSysTemp, refusals[c.conn.Refused]))
		}
		return false
	}
	if implicit && !c.handshake(0) {
		return false
	}
	if check := c.srv.CheckConn; check != nil {
		if err := check(c.ctx, &c.pub); err != nil {
			c.why = "refused by CheckConn"
			c.say(c.refusal("checking a connection", err))
			return false
		}
		c.values = maps.Clone(c.pub.Values)
	}
	if c.srv.APOP && c.srv.Credentials != nil && c.srv.Credentials.Offers(sasl.APOP) {
		c.timestamp = sasl.APOPTimestamp(c.srv.conf.hostname)
	}
	text := c.srv.Greeting
	if text == "" {
		text = "POP3 ready"
	}
	if c.timestamp != "" {
		text += " " + c.timestamp
	}
	c.say(ok(text))
	return true
}

var refusals = map[lineserver.Refusal]string{
	lineserver.TooMany:   "too many connections, try again later",
	lineserver.TooMuchOf: "too many connections from your address, try again later",
	lineserver.TooOften:  "too many connections from your address in a short time, try again later",
	lineserver.Stopping:  "server is shutting down, try again later",
}

// handshake puts TLS on the connection.
func (c *session) handshake(buffered int) bool {
	var over *tls.Conn
	var shown *x509.Certificate
	err := c.conn.Handshake(c.srv.conf.limits.Handshake, func(ctx context.Context) (err error) {
		over, shown, err = certs.UpgradeShown(ctx, c.conn, buffered, c.srv.TLSConfig)
		return err
	})
	if err != nil {
		c.why = "TLS handshake failed"
		c.remark("TLS handshake failed: " + err.Error())
		return false
	}
	c.bind(over)
	c.peer.Certificate = shown
	return true
}

// run reads commands and answers them until the session ends.
func (c *session) run() {
	for {
		line, err := c.read(c.srv.conf.limits.Line - 2)
		var r reply
		switch {
		case err == nil:
			r = c.obey(line)
		case textualFault(err):
			r = c.bad(err.Error()[len("textual: "):])
		default:
			c.lost(err)
			return
		}
		c.say(r)
		if c.w.err != nil {
			c.lost(c.w.err)
		}
		if r.end || c.w.err != nil {
			return
		}
	}
}

// textualFault reports whether err is about a line that has been read, so that
// the conversation is still in step.
func textualFault(err error) bool {
	return errors.Is(err, textual.ErrLineTooLong) || errors.Is(err, textual.ErrBareCR) || errors.Is(err, textual.ErrBareLF)
}

// errStopping and errTooLong end a session between two commands.
var (
	errStopping = errors.New("shutdown")
	errTooLong  = errors.New("session limit")
)

// read returns the next line. The answers so far leave first, unless a whole
// line is there already: then they wait for its answer (RFC 2449 §6.6).
func (c *session) read(max int) ([]byte, error) {
	if max < 0 {
		max = textual.MaxLine
	}
	now := time.Now()
	deadline := c.deadline(now)
	ahead := c.r.Peek()
	if lf := indexLF(ahead); lf >= 0 {
		switch {
		case c.conn.Expelled(), c.conn.Stopping() && !isQuit(ahead[:lf]):
			return nil, errStopping
		case !deadline.IsZero() && now.After(deadline):
			return nil, errTooLong
		}
		return c.r.ReadLine(max)
	}
	if err := c.w.flush(); err != nil {
		return nil, err
	}
	c.conn.AwaitUntil(deadline)
	line, err := c.r.ReadLine(max)
	c.conn.BusyUntil(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) && c.conn.Stopping() || err == nil && c.conn.Expelled() { // the line came at the same moment
		err = errStopping
	}
	return line, err
}

// deadline is when the wait for a command that begins now ends.
func (c *session) deadline(now time.Time) time.Time {
	l := &c.srv.conf.limits
	at := lineserver.Deadline(now, l.Command)
	if c.state == authorization {
		at = lineserver.Earlier(at, lineserver.Deadline(c.pub.Began, l.Login))
	}
	return lineserver.Earlier(at, lineserver.Deadline(c.pub.Began, l.Session))
}

// lost says goodbye, where RFC 1939 §3 wants it, and notes why. A client that
// was silent for too long gets no response.
func (c *session) lost(err error) {
	switch {
	case c.why != "":
	case err == errStopping:
		c.why = "shutdown"
		if c.conn.Expelled() {
			c.why, c.linger = "ended", true
			c.say(failure(CodeSysTemp, "what this session logged in by opens the maildrop no more, nothing was removed"))
			return
		}
		if c.conn.Displaced() {
			c.why = "made room"
			c.say(failure(CodeSysTemp, "too many connections, somebody else needs this one"))
			return
		}
		c.say(failure(CodeSysTemp, "server is shutting down, nothing was removed"))
	case err == errTooLong:
		c.why = "took too long"
		c.say(failure(CodeSysTemp, "session took too long, nothing was removed"))
	case errors.Is(err, textual.ErrEndlessLine):
		c.why = "line without end"
		c.say(c.bad(c.why))
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.why = "timeout"
	case err == io.EOF:
		c.why = "client left"
	default:
		c.why = "connection lost: " + err.Error()
	}
}

// apologise ends a session whose engine or callback has panicked.
func (c *session) apologise() {
	text := "internal error, nothing was removed"
	if c.why == "quit" { // RFC 1939 §6: some or none
		text = "internal error, marked messages may not have been removed"
	}
	c.why = "panic"
	if !c.cut {
		c.say(failure(CodeSysTemp, text))
	}
}

// protect calls f, whose panic then costs this session and nothing else.
func (c *session) protect(f func() error) error {
	err := c.pub.Protect(c.srv.conf.log, f)
	if errors.Is(err, lineserver.ErrPanic) {
		c.why = "panic"
	}
	return err
}

// end releases what the session holds, on every way out.
func (c *session) end() {
	if !c.cut {
		c.w.flush()
	}
	c.w.release()
	c.unlock()
	if c.linger && !c.cut {
		c.conn.LetRead(c.net)
	}
	if over, ok := c.net.(*tls.Conn); ok && !c.cut {
		over.Close() // with close_notify: nothing was cut off
	}
	c.r.Reset(nil)
	c.srv.conf.log.Info("pop3 session", "", c.summary())
}

// unlock closes the maildrop, whatever the Drop does: what QUIT is answered
// does not depend on it.
func (c *session) unlock() {
	if err := c.protect(c.box.close); err != nil && !errors.Is(err, lineserver.ErrPanic) {
		c.failed("maildrop did not close", err)
	}
}
