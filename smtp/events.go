package smtp

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// EventKind says what an Event is about.
type EventKind int

// The events, in the order they can come in. Only what is legal at its time is
// delivered; everything else the engine answers by itself.
const (
	EventConnect  EventKind = iota // a client is there, and was not greeted yet
	EventTLSError                  // a TLS handshake failed, Event.Err; EventAbort follows
	EventHelo                      // HELO, EHLO or LHLO; Event.Arg is the name
	EventAuth                      // AUTH; Event.Arg is the mechanism; see Authenticate
	EventMail                      // MAIL; Event.Path and Event.Envelope.Params
	EventRcpt                      // RCPT; Event.Path and Event.To
	EventData                      // the client is about to send the message
	EventMessage                   // Event.Data is the message
	EventReset                     // the transaction was given up: RSET, EHLO
	EventDone                      // the client said QUIT
	EventAbort                     // the session ended otherwise; Event.Err if known
)

// String is the kind's name.
func (k EventKind) String() string {
	return name(int(k), "Connect", "TLSError", "Helo", "Auth", "Mail", "Rcpt", "Data", "Message", "Reset", "Done", "Abort")
}

// Event is a question of the engine. It is answered before the loop asks for
// the next one, and means nothing afterwards. Unanswered questions are
// accepted, except EventAuth, which is refused. EventTLSError, EventReset,
// EventDone and EventAbort are no questions.
type Event struct {
	What     EventKind
	Session  *Session
	Envelope *Envelope  // of the transaction; nil outside
	Path     Path       // of EventMail and EventRcpt
	To       *Recipient // of EventRcpt
	Arg      string
	Data     io.Reader // of EventMessage; read before the next event, or skipped
	Err      error

	answer error // nil, said, or a refusal
	run    func(sasl.Credentials) (string, error)
	user   string
}

// Accept says yes; text replaces the engine's own words in the answer to
// EventMail, EventRcpt and EventMessage, unless it is empty.
func (e *Event) Accept(text string) {
	e.answer = nil
	if text == "" {
		return
	}
	r := &Reply{Code: 250, Enhanced: "2.0.0", Text: text}
	switch e.What {
	case EventMail:
		r.Enhanced = okSender.Enhanced
	case EventRcpt:
		r.Enhanced = okRcpt.Enhanced
	}
	e.answer = r
}

// Reject says no with a *Reply or a StandardReply; nil, and a reply that says
// yes, mean ErrRefused. In the answer to EventMessage for a server of LMTP it is
// the answer for every recipient; set Envelope.To[i].Result to answer for each.
func (e *Event) Reject(r error) {
	if accepts(r) {
		r = ErrRefused
	}
	e.answer = r
}

// Tempfail says not now.
func (e *Event) Tempfail(text string) { e.answer = &Reply{Code: 451, Enhanced: "4.3.0", Text: text} }

// Authenticate runs the exchange that an EventAuth is about and returns the
// account, which is the session's from then on. nil means the Server's own
// Credentials. The client is answered by it.
func (e *Event) Authenticate(c sasl.Credentials) (user string, err error) {
	if e.run == nil {
		return "", sasl.ErrDenied
	}
	e.user, e.answer = e.run(c)
	e.run = nil
	return e.user, e.answer
}

// Conn is a connection whose dialogue is driven by a loop over its events, by
// the same engine that serves callbacks:
//
//	for ev := range smtp.NewConn(c, srv).Events(ctx) {
//		switch ev.What {
//		case smtp.EventRcpt:
//			if !known(ev.Path) {
//				ev.Reject(smtp.ErrNoSuchUser)
//			}
//		case smtp.EventMessage:
//			io.Copy(os.Stdout, ev.Data)
//		}
//	}
type Conn struct {
	srv *Server
	net net.Conn
}

// NewConn takes a connection with the settings of s. The callbacks of s are
// asked first; what they refuse is no event. Its Handler is not used.
func NewConn(c net.Conn, s *Server) *Conn { return &Conn{s, c} }

// Events serves the connection and closes it. Leaving the loop ends the
// session with 421. ctx's end closes the connection at once. The loop can be
// run once.
func (c *Conn) Events(ctx context.Context) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		l := &loop{yield: yield}
		if c.srv == nil || c.net == nil {
			l.ask(&Event{What: EventAbort, Err: errors.New("smtp: a Conn needs a connection and a Server, see NewConn")})
			return
		}
		if err := c.srv.setUpEvents(); err != nil {
			c.net.Close()
			l.ask(&Event{What: EventAbort, Err: err})
			return
		}
		defer context.AfterFunc(ctx, func() { c.net.Close() })()
		conf := *c.srv.conf
		l.hook(&conf)
		c.srv.connections().ServeConn(c.net, func(nc *lineserver.Conn) { newSession(&conf, nc).run() })
	}
}

// setUpEvents is setUp for a server that needs no Handler.
func (s *Server) setUpEvents() error {
	s.once.Do(func() { s.conf, s.err = s.newSetup(true) })
	return s.err
}

// loop turns callbacks into events.
type loop struct {
	yield func(*Event) bool
	left  bool // the loop was left: nobody is there to ask
}

// ask delivers an event and returns the answer.
func (l *loop) ask(e *Event) error {
	if l.left {
		return ErrUnavailable
	}
	if e.Session != nil {
		e.Envelope = e.Session.Envelope
	}
	if !l.yield(e) {
		l.left = true
		return ErrUnavailable
	}
	return e.answer
}

// hook puts the events behind the server's own callbacks.
func (l *loop) hook(conf *setup) {
	own := conf.hooks
	h := &conf.hooks
	h.conn = func(ctx context.Context, s *Session) error {
		if own.conn != nil {
			if err := own.conn(ctx, s); err != nil {
				return err
			}
		}
		return l.ask(&Event{What: EventConnect, Session: s})
	}
	h.helo = func(ctx context.Context, s *Session, name string) error {
		if own.helo != nil {
			if err := own.helo(ctx, s, name); err != nil {
				return err
			}
		}
		return l.ask(&Event{What: EventHelo, Session: s, Arg: name})
	}
	h.sender = func(ctx context.Context, s *Session, from Path, p *Params) error {
		if own.sender != nil {
			if err := own.sender(ctx, s, from, p); err != nil {
				return err
			}
		}
		return l.ask(&Event{What: EventMail, Session: s, Path: from})
	}
	h.rcpt = func(ctx context.Context, s *Session, to *Recipient) error {
		if own.rcpt != nil {
			if err := own.rcpt(ctx, s, to); err != nil {
				return err
			}
		}
		return l.ask(&Event{What: EventRcpt, Session: s, Path: to.Path, To: to})
	}
	h.data = func(ctx context.Context, s *Session) error {
		if own.data != nil {
			if err := own.data(ctx, s); err != nil {
				return err
			}
		}
		return l.ask(&Event{What: EventData, Session: s})
	}
	h.handler = HandlerFunc(func(ctx context.Context, e *Envelope) error {
		return l.ask(&Event{What: EventMessage, Session: e.Session, Data: e.Data})
	})
	l.hookRest(conf, own)
}

func (l *loop) hookRest(conf *setup, own hooks) {
	h := &conf.hooks
	if h.creds == nil && len(conf.Mechanisms) > 0 {
		h.creds = anyone{} // the loop says who is who
	}
	h.auth = func(s *Session, mechanism string, run func(sasl.Credentials) (string, error)) (string, error) {
		e := &Event{What: EventAuth, Session: s, Arg: mechanism, answer: sasl.ErrDenied}
		e.run = func(c sasl.Credentials) (string, error) {
			if c == nil {
				c = own.creds
			}
			if c == nil {
				return "", sasl.ErrDenied
			}
			return run(c)
		}
		err := l.ask(e)
		if err == nil && e.user == "" {
			err = sasl.ErrDenied // Accept does not tell who it is
		}
		return e.user, err
	}
	h.tls = func(s *Session, err error) {
		if err != nil {
			l.ask(&Event{What: EventTLSError, Session: s, Err: err})
		}
	}
	h.reset = func(s *Session) { l.ask(&Event{What: EventReset, Session: s}) }
	h.done = func(s *Session, sum *Summary) {
		if own.done != nil {
			own.done(s, sum)
		}
		what := EventAbort
		if sum.Quit {
			what = EventDone
		}
		l.ask(&Event{What: what, Session: s, Err: sum.Err})
	}
}

// anyone are Credentials that offer everything and know nobody.
type anyone struct{}

func (anyone) Verify(context.Context, string, string, []byte) (string, error) {
	return "", sasl.ErrDenied
}

func (anyone) Secret(context.Context, sasl.Kind, string) (sasl.Secret, string, error) {
	return sasl.Secret{}, "", sasl.ErrDenied
}

func (anyone) Offers(kind sasl.Kind) bool { return kind != sasl.APOP }

func (anyone) Token(context.Context, string, string, string) (string, error) {
	return "", sasl.ErrDenied
}

func (anyone) Certificate(context.Context, string) (string, error) { return "", sasl.ErrDenied }
