package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/netserve"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// ErrServerClosed is what Serve and ListenAndServe return after Shutdown or
// Close.
var ErrServerClosed = netserve.ErrClosed

// TLSMode says when a connection is encrypted.
type TLSMode int

// The modes. With a nil TLSConfig, StartTLS offers nothing and the other two
// refuse to serve.
const (
	StartTLS    TLSMode = iota // offered (RFC 3207)
	RequireTLS                 // demanded: only NOOP, EHLO, STARTTLS and QUIT before it
	ImplicitTLS                // from the first octet (RFC 8314 §3)
)

// Server is an SMTP or LMTP server. The zero value works: it greets, and
// refuses every recipient. Fields must not change once it serves; to change
// settings, let another Server take the next connections by ServeConn.
//
// Every callback gets a context that ends with the connection, and answers
// nil to accept. A *Reply is sent as it is, any other error is 451 and logged.
// Callbacks of one connection never run at the same time. A callback that
// panics ends its session with 451; no other.
type Server struct {
	Addr     string // for ListenAndServe; "" means ":25", or ":465" with ImplicitTLS; LMTP needs one
	Hostname string // in the greeting; "" means os.Hostname
	Banner   string // in the greeting behind "ESMTP"; may be empty

	// Handler takes accepted messages. If it has a method
	// Match(Path) (Handler, string), as a ServeMux has, it is asked at RCPT and
	// decides which recipients exist; otherwise CheckRcpt or Addressable must.
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
	// to. A server with a Handler, but without this, Addressable or a Handler
	// with Match does not start: an open relay takes a deliberate line of code.
	CheckRcpt func(ctx context.Context, s *Session, to *Recipient) error
	// CheckData decides at DATA or the first BDAT, before the message is sent.
	CheckData func(ctx context.Context, s *Session) error
	// Addressable is a short form of CheckRcpt: may user ("" if not
	// authenticated) send to address? false is 550 5.7.1.
	Addressable func(user, address string) bool
	// CheckVrfy answers VRFY (expand false) and EXPN (expand true); the reply
	// returned is sent, whatever its code. nil answers 252 and 502. arg is not
	// ASCII only if the client said SMTPUTF8; a positive answer that is not goes
	// to such clients only, others hear 252 2.6.8 (RFC 6531 §3.7.4.2).
	CheckVrfy func(ctx context.Context, s *Session, arg string, expand bool) *Reply
	// Done is called when a session ends that CheckConn was, or would have
	// been, asked about.
	Done func(s *Session)

	// Credentials enables AUTH with every mechanism it can serve.
	Credentials sasl.Credentials
	// Auth is a short form of Credentials for PLAIN and LOGIN: nil accepts, any
	// error is 535 unless it is a *Reply. See sasl.PasswordFunc.
	Auth func(user, password, remoteAddr string) error
	// Mechanisms limits and orders what is announced; nil means all of
	// package sasl that Credentials can serve.
	Mechanisms []sasl.Mechanism
	// RequireAuth refuses MAIL before AUTH with 530.
	RequireAuth bool
	// CleartextAuth allows mechanisms that send the password itself without
	// TLS.
	CleartextAuth bool

	TLSConfig *tls.Config // nil: no TLS
	TLSMode   TLSMode

	// Pool, if not nil, is a cap on connections that this server shares with
	// others, also of package pop3.
	Pool *Pool

	LMTP   bool // speak LMTP (RFC 2033): LHLO, and one reply per recipient
	Limits Limits
	Extensions

	// Newlines says what happens to a CR or LF of its own in a message;
	// the zero value refuses the message. Clients in NormaliseFrom get
	// textual.Normalise whatever it says.
	Newlines      textual.Mode
	NormaliseFrom []netip.Prefix
	// TolerantLines accepts command lines that end in LF alone. Messages never
	// end so.
	TolerantLines bool

	// Paths is what is accepted in MAIL and RCPT beyond the grammar of
	// RFC 5321, such as PathLenient.
	Paths PathOption

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

	group      netserve.Group // see connections
	grouped    sync.Once
	recipients atomic.Int64 // for crowd
	once       sync.Once
	conf       *settled
	err        error // what makes it unable to serve
}

// Pool is a cap on connections that several servers share, such as those of one
// process that has only so many descriptors. When it is reached, a client that
// has not logged in, of whichever server, makes room as it does for Conns.
type Pool = netserve.Pool

// Extensions are what the server announces beyond what this package does by
// itself, because the application has to do its part.
type Extensions struct {
	// DSN (RFC 3461): the Handler reads Ret, EnvID, Notify and ORcpt, and
	// sends or passes on the reports they ask for.
	DSN bool
	// RequireTLSExt (RFC 8689): the Handler passes on a message with
	// Params.RequireTLS over verified TLS only. Announced under TLS.
	RequireTLSExt bool
	// BinaryMIME (RFC 3030): the Handler stores any octets, also CR and LF
	// alone, and knows from Params.Body when to expect them.
	BinaryMIME bool
	// FutureRelease (RFC 4865) is the longest time a message may be held; the
	// Handler keeps it until Params.HoldUntil. 0: not offered. Announced to
	// authenticated clients, or to all if AUTH is not possible.
	FutureRelease time.Duration
	// DeliverBy (RFC 2852): the Handler obeys Params.By. DeliverByMin is the
	// shortest time for mode R that is not refused.
	DeliverBy    bool
	DeliverByMin time.Duration
	// Priority (RFC 6710): the Handler obeys Params.Priority; PriorityPolicy
	// names the assignment ("MIXER", "STANAG4406", "NSEP"; may be empty).
	Priority       bool
	PriorityPolicy string
	// RRVS (RFC 7293): CheckRcpt obeys RcptParams.RRVS.
	RRVS bool
	// Announce are further lines for the reply to EHLO.
	Announce []string
	// Hide are keywords not to announce and not to honour, such as
	// "CHUNKING" or "SMTPUTF8": their parameters are 555, their commands 500.
	Hide []string
}

// Serve accepts connections from l, each in a goroutine of its own, until
// Shutdown or Close, and then returns ErrServerClosed. It closes l.
//
// A listener may be wrapped, for example to read the PROXY protocol: the
// server asks a connection for its addresses only in the connection's own
// goroutine, where that may block.
func (s *Server) Serve(l net.Listener) error {
	if err := s.settle(); err != nil {
		l.Close()
		return err
	}
	return s.connections().Serve(l, s.session)
}

// ServeConn serves one connection that was accepted elsewhere and returns when
// it has ended. The caps of Limits apply.
func (s *Server) ServeConn(c net.Conn) error {
	if err := s.settle(); err != nil {
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
	return netserve.ListenAndServe(addr, s.Serve)
}

// ListenAndServeTLS adds a certificate from PEM files to TLSConfig and serves;
// TLSMode stays as it is.
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLSConfig != nil {
		config = s.TLSConfig.Clone()
	}
	config.Certificates = append(config.Certificates, cert)
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
func (s *Server) connections() *netserve.Group {
	s.grouped.Do(func() {
		g, l := &s.group, s.Limits.withDefaults()
		g.MaxConns, g.MaxPerBlock, g.PerMinute = max(l.Conns, 0), max(l.ConnsPerBlock, 0), max(l.ConnsPerMinute, 0)
		g.Free, g.Patience, g.Pool, g.Log = l.FreeFrom, max(l.Patience, 0), s.Pool, s.Log
	})
	return &s.group
}

// ListenAndServe serves h on addr. h must say which recipients there are, as a
// ServeMux does; for other Handlers make a Server.
func ListenAndServe(addr string, h Handler) error {
	return (&Server{Addr: addr, Handler: h}).ListenAndServe()
}

// ListenAndServeTLS serves h on addr and offers STARTTLS with the certificate
// of the PEM files.
func ListenAndServeTLS(addr, certFile, keyFile string, h Handler) error {
	return (&Server{Addr: addr, Handler: h}).ListenAndServeTLS(certFile, keyFile)
}
