package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// state is where in the dialogue a session is (RFC 5321 §4.1.4).
type state uint8

// The states, as bits of the masks in the table of commands.
const (
	fresh    state = 1 << iota // before HELO, EHLO or LHLO
	ready                      // between transactions
	sender                     // MAIL was accepted
	rcpts                      // and at least one RCPT
	anyState = fresh | ready | sender | rcpts
)

// session is the engine's side of a connection. Commands return their reply;
// the loop counts it, writes it, and sends it when the client waits.
type session struct {
	srv   *setup
	pub   Session
	state state

	conn *lineserver.Conn // for deadlines and the context; under TLS its plain side
	net  net.Conn         // what is read and written
	r    textual.Reader
	w    textual.Writer

	env      *Envelope // the transaction; nil between them
	handler  Handler   // of the transaction's recipients
	pattern  string    // and the pattern that chose it
	split    *groups   // in handler's place, if there are several
	attempts int       // MAILs so far
	messages int       // and those that were accepted

	tolerance Tolerance // see Server.Tolerate
	speaksLF  bool      // see TolerateLF
	heardLine bool      // so that speaksLF is decided
	lastCR    bool      // the last octet that was read is CR,
	bareLF    bool      // or is an LF without one
	oweLF     bool      // and is to be read once more

	counted int64  // recipients that recipientCount counts
	pending []byte // a line that was read and is still to be obeyed
	closing bool   // after the reply at hand
	linger  bool   // and the client may be sending
	began   bool   // the application was asked
	byQuit  bool   // the client said QUIT
	refused bool   // the greeting was 554: only QUIT is obeyed

	given      given      // the parameters at hand; here, so that none is allocated
	rcptParams RcptParams // of a RCPT at hand

	clock       clock
	dot         textual.DotReader
	utf8        bool        // the client understands UTF-8 in the reply at hand
	values      map[any]any // what CheckConn left in pub.Values
	peer        *sasl.Peer
	announce    []sasl.Mechanism  // what EHLO announced
	shown       *x509.Certificate // the server's own that the client was shown, if known
	rcptRefused bool              // in this transaction

	errors, authErrors, junk int
	failedBy                 map[string]int // of authErrors, by mechanism; nil: none
	abandoned                int            // transactions since the last message accepted
	deferred                 int            // recipients refused for now, likewise
	accepted, refusals       int            // messages; and what noteRefusal has told of
	counts                   [maxCommands]uint32
	mechanism                string // that AUTH succeeded with
	err                      error  // what ended the session, for its log line
}

// session serves one connection.
func (s *Server) session(c *lineserver.Conn) {
	newSession(s.conf, c).run()
}

func newSession(conf *setup, c *lineserver.Conn) *session {
	s := &session{srv: conf, conn: c, net: c.Conn, state: fresh}
	s.pub = Session{Identity: lineserver.NewIdentity(c), LocalName: conf.hostname, LMTP: conf.LMTP}
	s.r.Reset((*source)(s))
	s.w.Reset((*sink)(s))
	s.clock.begin(&conf.limits, s.pub.Began, conf.RequireAuth)
	return s
}

// run is the whole session. Should the engine itself panic, that is the end of
// this session only.
func (s *session) run() {
	defer s.end()
	s.ask(s.dialogue)
}

// dialogue is one command after another until the end.
func (s *session) dialogue() error {
	for open := s.open(); open && !s.closing; {
		line, err := s.nextLine()
		if err == nil && s.conn.Expelled() {
			s.lastWord(errExpelled)
			break
		}
		if err != nil {
			s.answer(s.readFailed(err))
			continue
		}
		s.answer(s.obey(line))
	}
	s.flush()
	if s.linger {
		s.conn.LetRead(s.net)
	}
	return nil
}

// obey finds the command in the table, checks all that the table knows about
// it, and runs it.
func (s *session) obey(line []byte) *Reply {
	verb, args := textual.Command(line)
	c := s.find(verb)
	s.utf8 = s.env != nil && s.env.Params.SMTPUTF8
	s.traceCommand(c, line)
	switch {
	case c == nil && isHTTP(verb):
		// A browser was told to talk to us (cross-protocol scripting): its
		// header and body must not be taken for commands.
		s.hangUp()
		return errNotSMTP
	case c == nil:
		return errUnknown
	}
	s.counts[c.index]++
	if c.flags&work == 0 {
		s.junk++
	}
	e, r := s.env, s.illegal(c, line)
	if r == nil {
		r = c.run(s, args)
	} else if c.flags&textFollows != 0 {
		s.distrust()
	}
	s.noteRefusal(c, args, e, r)
	return r
}

// illegal is why the command may not be run now, or nil.
func (s *session) illegal(c *command, line []byte) *Reply {
	switch {
	case c.flags&selfChecked != 0:
		return nil
	case s.refused && c.flags&always == 0:
		return errRefusedGreeting
	case len(line) > s.srv.limits.Line && c.flags&longLine == 0:
		return errLineTooLong
	case s.srv.TLSMode == RequireTLS && s.pub.TLS == nil && c.flags&beforeTLS == 0:
		return errNeedTLS
	case s.state&c.states == 0:
		return s.outOfOrder(c)
	case s.srv.RequireAuth && s.pub.User == "" && c.flags&afterAuth != 0:
		return authRequired
	}
	return nil
}

// distrust ends the session if the client has sent more behind a DATA that is
// refused: it did not wait for 354, so that what it sent may be the message,
// and no line of that may be taken for a command.
func (s *session) distrust() {
	if s.r.Buffered() > 0 {
		s.hangUp()
	}
}

// find looks verb up; commands switched off are not there.
func (s *session) find(verb []byte) *command {
	if len(verb) > maxVerb {
		return nil
	}
	var upper [maxVerb]byte
	return s.srv.commands[string(textual.Upper(upper[:copy(upper[:], verb)]))]
}

func isHTTP(verb []byte) bool {
	for _, v := range [...]string{"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS"} {
		if textual.Is(verb, v) {
			return true
		}
	}
	return bytes.EqualFold(verb, []byte("Host:"))
}

func (s *session) outOfOrder(c *command) *Reply {
	switch {
	case s.state == fresh:
		return errHelloFirst
	case c.states&ready == 0 && s.state == ready:
		return errMailFirst
	case c.states == rcpts:
		if s.rcptRefused && s.srv.LMTP {
			return errNoValidRcptLMTP
		} else if s.rcptRefused {
			return errNoValidRcpt
		}
		return errRcptFirst
	}
	return errInTransaction
}

// answer counts a reply, writes it, and ends the session where it must end.
// nil means that the command has answered for itself.
func (s *session) answer(r *Reply) {
	if r != nil {
		s.count(r)
		s.say(r)
		if r.Code == 221 || r.Code == 421 {
			s.closing = true
		}
	}
	if s.closing {
		return
	}
	switch l := &s.srv.limits; {
	case l.Errors > 0 && s.errors >= l.Errors:
		s.lastWord(errTooManyErrors)
	case l.AuthErrors > 0 && s.authErrors >= l.AuthErrors:
		s.lastWord(errTooManyGuesses)
	case l.Idle > 0 && (s.junk > l.Idle || s.abandoned > l.Idle), l.Recipients > 0 && s.deferred > l.Recipients:
		s.lastWord(errTooIdle)
	}
}

// count counts refusals, and slows down the client that collects them. A
// command out of order is not counted: a client that pipelines has sent it
// before it could know.
func (s *session) count(r *Reply) {
	if r.Code < 500 || r.Code == 503 || r == errNoValidRcpt {
		return
	}
	s.errors++
	if s.srv.Tarpit > 0 {
		s.pause(min(time.Duration(s.errors)*s.srv.Tarpit, time.Minute))
	}
}

// pause waits, but not longer than the connection or the server does.
func (s *session) pause(d time.Duration) {
	for ; d > 0 && !s.conn.Stopping() && s.context().Err() == nil; d -= time.Second {
		time.Sleep(min(d, time.Second))
	}
}

// lastWord tells the client, unasked, that this is the end (RFC 5321 §3.8).
func (s *session) lastWord(r *Reply) {
	s.err = r
	s.say(r)
	s.hangUp()
}

// hangUp ends the session, behind the reply at hand, although the client may
// be sending.
func (s *session) hangUp() { s.closing, s.linger = true, true }

// say writes a reply. It is sent when the client has nothing more to say.
func (s *session) say(r *Reply) {
	if r.unsaid {
		s.closing, s.err = true, r
		return
	}
	text := r.Text
	if r.Code >= 400 {
		text += " (" + s.pub.ID + ")"
	}
	if !s.utf8 && !isASCII(text) {
		text = toASCII(text) // RFC 6531 §3.7.4.1
	}
	s.traceReply(r)
	s.w.WriteReply(r.Code, r.Enhanced, text)
}

// toASCII puts "?" in the place of every other character.
func toASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, text)
}

func (s *session) flush() {
	if err := s.w.Flush(); err != nil && s.err == nil {
		s.err = err
		s.closing = true
	}
}

// nextLine is the next command.
func (s *session) nextLine() ([]byte, error) {
	if line := s.pending; line != nil {
		s.pending = nil
		return line, nil
	}
	s.beginLine()
	return s.r.ReadLine(s.srv.maxLine)
}

// readFailed is the answer to a line that could not be read; nil if there is
// nobody left to answer.
func (s *session) readFailed(err error) *Reply {
	if r := badLine(err); r != nil {
		return r
	}
	switch {
	case errors.Is(err, errEndsInLF):
		s.hangUp()
		return errBareLine
	case errors.Is(err, errEndlessLine):
		s.hangUp()
		return errLineTooLong
	}
	if errors.Is(err, textual.ErrEndlessLine) {
		s.err = err
		s.hangUp()
		return errLineTooLong
	}
	s.closing = true
	return s.lostContact(err)
}

// badLine is the answer to a line that was read to its end and is no line; nil
// for other errors.
func badLine(err error) *Reply {
	switch {
	case errors.Is(err, textual.ErrLineTooLong):
		return errLineTooLong
	case errors.Is(err, textual.ErrBareCR), errors.Is(err, textual.ErrBareLF):
		return errBareLine
	}
	return nil
}

// lostContact notes what ended the session and what may still be said: 421
// after a time-out, when the server shuts down, or when others need the place.
func (s *session) lostContact(err error) *Reply {
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		if !errors.Is(err, io.EOF) {
			s.err = err
		}
		return nil
	case s.conn.Expelled():
		s.hangUp()
		s.err = errExpelled
		return errExpelled
	case s.conn.Displaced():
		s.err = errMakeRoom
		return errMakeRoom
	case s.conn.Stopping():
		s.err = errShutdown
		return errShutdown
	}
	s.err = err
	return errTimeout
}

// ask calls a callback of the application, whose panic costs this session and
// nothing else.
func (s *session) ask(callback func() error) error {
	err := s.pub.Protect(s.srv.log, callback)
	if errors.Is(err, lineserver.ErrPanic) {
		s.closing, s.err = true, err
	}
	return err
}

// decision turns what a callback returned into the reply to send, which is yes
// if it returned nil. What the client must not see is logged, or becomes the
// reply's cause.
func (s *session) decision(err error, yes *Reply) *Reply {
	if err == nil {
		return yes
	}
	r, known := answerTo(err, yes)
	if !known {
		if !errors.Is(err, lineserver.ErrPanic) {
			s.pub.LogError(s.srv.log, "callback failed", slog.Any("err", err))
		}
		return r
	}
	if r.Unwrap() == nil {
		switch err.(type) {
		case *Reply, StandardReply:
			return r
		}
		return r.With(err) // the words around the reply
	}
	return r
}

// end closes the connection and writes the session's line into the log.
func (s *session) end() {
	s.reset()
	if hook := s.srv.hooks.done; hook != nil && s.began {
		s.ask(func() error { hook(&s.pub, s.summary()); return nil })
	}
	if c, ok := s.net.(*tls.Conn); ok {
		c.Close() // sends close_notify; the group closes what is below
	}
	if ctx := context.Background(); s.srv.log.Enabled(ctx, slog.LevelInfo) {
		s.srv.log.LogAttrs(ctx, slog.LevelInfo, "smtp session", slog.Any("", s.summary()))
	}
}

// reset ends the transaction without a message.
func (s *session) reset() {
	if s.state > ready {
		s.state = ready
	}
	s.srv.recipientCount.leave(s)
	s.env, s.pub.Envelope, s.handler, s.pattern, s.split = nil, nil, nil, "", nil
	s.rcptRefused, s.pub.Forward = false, nil
}

// forget makes the session as it was before the first command, as STARTTLS
// (RFC 3207 §4.2) and XCLIENT demand. Errors stay counted.
func (s *session) forget() {
	s.reset()
	s.state = fresh
	s.pub.Helo, s.pub.User, s.pub.ESMTP, s.pub.Values, s.pub.Forward = "", "", false, maps.Clone(s.values), nil
	s.announce, s.mechanism = nil, ""
	s.tolerate()
}

func (s *session) context() context.Context { return s.conn.Context() }
