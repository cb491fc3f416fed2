package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// ErrServerClosed is what Serve and ListenAndServe return after Shutdown or
// Close.
var ErrServerClosed = errors.New("smtp: server closed")

// TLSMode says when a connection is encrypted. It is the same type for servers of
// every protocol.
type TLSMode = lineserver.TLSMode

// The modes. With a nil TLSConfig, StartTLS offers nothing and the other two
// refuse to serve.
const (
	StartTLS    = lineserver.StartTLS    // offered (RFC 3207)
	RequireTLS  = lineserver.RequireTLS  // demanded: only NOOP, EHLO, STARTTLS and QUIT before it
	ImplicitTLS = lineserver.ImplicitTLS // from the first octet (RFC 8314 §3)
)

// name is the i-th of the names of a type's values.
func name(i int, names ...string) string {
	if i < 0 || i >= len(names) {
		return strconv.Itoa(i)
	}
	return names[i]
}

// Server is an SMTP or LMTP server. The zero value works: it greets, and
// refuses every recipient. Fields must not change once it serves; to change
// settings, let another Server take the next connections by ServeConn.
//
// Every callback gets a context that ends with the connection, and answers
// nil to accept. A *Reply or a StandardReply chooses the answer: a refusal is
// sent as it is, and so is a 2yz, which accepts, where it answers MAIL, RCPT or
// the message. Any other error is 451 and logged, and so is a *Response, which
// is what another server has said; Response.Reply passes that on.
// Callbacks of one connection never run at the same time. A callback that
// panics ends its session with 451; no other.
type Server struct {
	Addr     string // for ListenAndServe; "" means ":25", or ":465" with ImplicitTLS; LMTP needs one
	Hostname string // in the greeting; "" means os.Hostname
	Banner   string // in the greeting behind "ESMTP"; may be empty

	// Handler takes accepted messages. If it has a method
	// Match(Path) (Handler, string), as a ServeMux has, it is asked at RCPT and
	// decides which recipients exist; otherwise CheckRcpt must.
	// nil refuses every recipient.
	Handler Handler

	// CheckConn decides whether a client is served at all. A refusal is sent
	// as the greeting: 421 or another 4yz and the connection is closed, 5yz
	// becomes 554 and the client may only QUIT (RFC 5321 §3.1).
	CheckConn func(ctx context.Context, s *Session) error
	// CheckHelo sees what HELO, EHLO or LHLO said.
	CheckHelo func(ctx context.Context, s *Session, name string) error
	// CheckSender decides about MAIL.
	CheckSender func(ctx context.Context, s *Session, from Path, p *Params) error
	// CheckRcpt decides about each RCPT; s.Envelope has the sender and the
	// recipients before. It may change to.Path and to.Value, and must not keep
	// to. A server with a Handler, but without this or a Handler with Match, does
	// not start: an open relay takes a deliberate line of code.
	CheckRcpt func(ctx context.Context, s *Session, to *Recipient) error
	// CheckData decides at DATA or the first BDAT, before the message is sent.
	CheckData func(ctx context.Context, s *Session) error
	// CheckVrfy answers VRFY (expand false) and EXPN (expand true); the reply
	// returned is sent, whatever its code. nil answers 252 and 502. arg is not
	// ASCII only if the client said SMTPUTF8; a positive answer that is not goes
	// to such clients only, others hear 252 2.6.8 (RFC 6531 §3.7.4.2).
	CheckVrfy func(ctx context.Context, s *Session, arg string, expand bool) *Reply
	// Refused sees every refusal, before it is sent: what a line of the log with
	// the words "refused" says. It must not keep s, or what f holds of it.
	Refused func(s *Session, f *Refusal)
	// Done is called when a session ends that CheckConn was, or would have
	// been, asked about, with what the line of the log about it says.
	Done func(s *Session, sum *Summary)

	// Credentials enables AUTH with every mechanism it can serve. A function that
	// checks a password is a sasl.PasswordFunc, for PLAIN and LOGIN. Of their
	// errors sasl.ErrDenied is 535, and a *Reply is sent as it is. Any other is 454
	// and logged: it says that the password could not be checked.
	Credentials sasl.Credentials
	// Mechanisms limits and orders what is announced; nil means all of
	// package sasl that Credentials can serve.
	Mechanisms []sasl.Mechanism
	// RequireAuth refuses MAIL before AUTH with 530. A server on which nobody
	// could authenticate does not start.
	RequireAuth bool
	// CleartextAuth allows mechanisms that send the password itself without
	// TLS.
	CleartextAuth bool

	TLSConfig *tls.Config // nil: no TLS
	TLSMode   TLSMode

	// Pool, if not nil, is a cap on connections that this server shares with
	// others, also of package pop3.
	Pool *Pool

	LMTP       bool // speak LMTP (RFC 2033): LHLO, and one reply per recipient
	Limits     Limits
	Extensions Extensions

	// Tolerate says which faults of old or simple clients are forgiven to this
	// one: such as those of one's own networks (TolerateFrom), or those that
	// have authenticated. It is asked when the connection begins and again when
	// STARTTLS, AUTH or XCLIENT has changed what is known. nil forgives none.
	Tolerate func(s *Session) Tolerance

	// XClient and XForward name the networks whose clients may use these
	// commands to tell about the original client. Nobody else sees them.
	XClient, XForward []netip.Prefix

	// Tarpit delays each refusal by this, times the number of refusals so far,
	// up to a minute.
	Tarpit time.Duration

	Log *slog.Logger // nil means slog.Default()
	// Trace sees the dialogue, credentials and messages left out. nil shows it
	// to Log at Debug.
	Trace Tracer

	group      lineserver.Group // see connections
	grouped    sync.Once
	recipients atomic.Int64 // for recipientCount
	once       sync.Once
	conf       *setup
	err        error // what makes it unable to serve
}

// Pool is a cap on connections that several servers share, such as those of one
// process that has only so many descriptors. When it is reached, a client that
// has not logged in, of whichever server, makes room as it does for Limits.Conns.
// It is made by &smtp.Pool{MaxConns: 500}, and the same type for servers of every
// protocol.
type Pool = lineserver.Pool

// Serve accepts connections from l, each in a goroutine of its own, until
// Shutdown or Close, and then returns ErrServerClosed. It closes l.
//
// A listener may be wrapped, for example to read the PROXY protocol: the
// server asks a connection for its addresses only in the connection's own
// goroutine, where that may block.
func (s *Server) Serve(l net.Listener) error {
	if l == nil {
		return errors.New("smtp: Serve without a listener")
	}
	if err := s.setUp(); err != nil {
		l.Close()
		return err
	}
	return s.connections().Serve(l, s.session)
}

// ServeConn serves one connection that was accepted elsewhere and returns when
// it has ended. The caps of Limits apply.
func (s *Server) ServeConn(c net.Conn) error {
	if c == nil {
		return errors.New("smtp: ServeConn without a connection")
	}
	if err := s.setUp(); err != nil {
		c.Close()
		return err
	}
	s.connections().ServeConn(c, s.session)
	return nil
}

// ListenAndServe listens on Addr and serves.
func (s *Server) ListenAndServe() error {
	addr := ":25"
	switch {
	case s.Addr != "":
		addr = s.Addr
	case s.LMTP:
		return errors.New("smtp: LMTP needs an Addr: it has no port of its own, and port 25 is not for it (RFC 2033 §5)")
	case s.TLSMode == ImplicitTLS:
		addr = ":465"
	}
	return lineserver.ListenAndServe(addr, s.Serve)
}

// ListenAndServeTLS adds a certificate from PEM files to TLSConfig and serves;
// TLSMode stays as it is.
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	config, err := lineserver.WithKeyPair(s.TLSConfig, certFile, keyFile)
	if err != nil {
		return err
	}
	s.TLSConfig = config
	return s.ListenAndServe()
}

// Shutdown stops accepting, tells idle clients 421, lets messages in progress
// arrive and be answered, and waits for all sessions to end. When ctx ends
// first it closes the rest and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error { return s.connections().Shutdown(ctx) }

// Close closes all listeners and connections at once.
func (s *Server) Close() error { return s.connections().Close() }

// Sessions is the number of connections now.
func (s *Server) Sessions() int { return s.connections().Len() }

// connections is the group of them, as the settings want it from its first use
// on: Close may be called while Serve begins.
func (s *Server) connections() *lineserver.Group {
	s.grouped.Do(func() {
		g, l := &s.group, s.Limits.withDefaults()
		g.MaxConns, g.MaxPerBlock, g.PerMinute, g.Free, g.Patience = l.Conns, l.ConnsPerBlock, l.ConnsPerMinute, l.FreeFrom, l.Patience
		g.Pool, g.Log, g.Closed = s.Pool, s.Log, ErrServerClosed
	})
	return &s.group
}

// ListenAndServe serves h on addr; nil is DefaultServeMux. h must say which
// recipients there are, as a ServeMux does; for other Handlers make a Server.
func ListenAndServe(addr string, h Handler) error {
	return (&Server{Addr: addr, Handler: orDefault(h)}).ListenAndServe()
}

// ListenAndServeTLS serves h on addr, nil is DefaultServeMux, and offers
// STARTTLS with the certificate of the PEM files.
func ListenAndServeTLS(addr, certFile, keyFile string, h Handler) error {
	return (&Server{Addr: addr, Handler: orDefault(h)}).ListenAndServeTLS(certFile, keyFile)
}

func orDefault(h Handler) Handler {
	if h == nil {
		return DefaultServeMux
	}
	return h
}

// Addressable makes a CheckRcpt of the question: may user, "" if not
// authenticated, send to address? No is 550 5.7.1.
func Addressable(may func(user, address string) bool) func(context.Context, *Session, *Recipient) error {
	return func(_ context.Context, s *Session, to *Recipient) error {
		if !may(s.User, to.Path.String()) {
			return ErrRelayDenied
		}
		return nil
	}
}
