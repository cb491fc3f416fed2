package pop3

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// ErrServerClosed is what Serve and ListenAndServe return after Shutdown or
// Close.
var ErrServerClosed = errors.New("pop3: server closed")

// TLSMode says when a connection is encrypted. It is the same type for servers of
// every protocol.
type TLSMode = lineserver.TLSMode

// The modes. With a nil TLSConfig, StartTLS offers nothing and the other two
// refuse to serve.
const (
	StartTLS    = lineserver.StartTLS    // STLS is offered (RFC 2595 §4)
	RequireTLS  = lineserver.RequireTLS  // demanded: only CAPA, STLS, UTF8 and QUIT before it
	ImplicitTLS = lineserver.ImplicitTLS // from the first octet (RFC 8314 §3)
)

// Server is a POP3 server. The zero value serves: it greets, and has no logins.
// Fields must not change once it serves; to change settings, let another Server
// take the next connections by ServeConn.
//
// Callbacks get a context that ends with the connection. A callback that panics
// ends its session, and no other.
type Server struct {
	Addr     string // for ListenAndServe; "" means ":110", or ":995" with ImplicitTLS
	Hostname string // in APOP's timestamp and for SASL; "" means os.Hostname

	Greeting string // stands in the greeting; "" means "POP3 ready"
	Farewell string // stands in the answer to QUIT; "" means "bye"
	// Implementation is announced to clients that have logged in (RFC 2449
	// §6.9); "" means "Postrider", "-" nothing.
	Implementation string

	// CheckConn decides whether a client is served at all. Its error is sent in
	// place of the greeting, as one of the Backend's is, and the connection is
	// closed.
	CheckConn func(ctx context.Context, s *Session) error
	// Refused sees every refusal of a login, before it is sent: what a line of the
	// log with the words "refused" says. It must not keep s or f.
	Refused func(s *Session, f *Refusal)
	// Done is called when a session ends that CheckConn was, or would have
	// been, asked about, with what the line of the log about it says.
	Done func(s *Session, sum *Summary)

	// Backend opens maildrops. Without it every login fails with [SYS/PERM].
	Backend Backend
	// Credentials check logins. Without them there are none. A function that checks
	// a password is a sasl.PasswordFunc. Of their errors sasl.ErrDenied is [AUTH],
	// and an *Error is sent as it is. Any other is [SYS/TEMP] and logged: it says
	// that the password could not be checked.
	Credentials sasl.Credentials
	// Mechanisms limits and orders what AUTH offers; nil means all of package
	// sasl that Credentials can serve.
	Mechanisms []sasl.Mechanism
	// CleartextAuth allows USER and PASS, and mechanisms that send the password
	// itself, without TLS.
	CleartextAuth bool
	// NoUser takes away USER and PASS altogether, leaving AUTH.
	NoUser bool
	// APOP puts a timestamp into the greeting, if Credentials offer sasl.APOP.
	APOP bool

	// UTF8 offers UTF8 (RFC 6856 §2). Set it where drops are Internationalized:
	// their messages with UTF-8 in the header are then for clients that ask so.
	UTF8 bool

	TLSConfig *tls.Config // nil: no TLS
	TLSMode   TLSMode

	Limits Limits
	Policy Policy

	// Pool, if not nil, is a cap on connections that this server shares with
	// others, also of package smtp.
	Pool *Pool

	// XClient names the networks whose clients may tell the original client's
	// address by XCLIENT. Nobody else sees it.
	XClient []netip.Prefix

	Log *slog.Logger // nil means slog.Default()
	// Trace sees the dialogue, credentials and messages left out. nil shows it
	// to Log at Debug.
	Trace Tracer

	group   lineserver.Group // see connections
	grouped sync.Once
	once    sync.Once
	conf    setup
	err     error // what makes it unable to serve
}

// Pool is a cap on connections that several servers share, such as those of one
// process that has only so many descriptors. When it is reached, a client that
// has not logged in, of whichever server, makes room as it does for Limits.Conns.
// It is made by &pop3.Pool{MaxConns: 500}, and the same type for servers of every
// protocol.
type Pool = lineserver.Pool

// Policy is what is told about how long messages stay and how often a client
// may come. It is announced, not enforced: the Backend answers ErrLoginDelay,
// and the store removes what has expired.
type Policy struct {
	// Expire is the least time a message stays, told in whole days (RFC 2449
	// §6.7). 0 means for ever; ExpireAtOnce that a retrieved message may be
	// gone after the session.
	Expire time.Duration
	// LoginDelay is the least time between two logins, told in seconds
	// (RFC 2449 §6.5). 0 means none.
	LoginDelay time.Duration
	// PerUser says that accounts may differ. What is told before the login is
	// then marked so, and has to be on the safe side: Expire the least that an
	// account may have, LoginDelay the most (RFC 2449 §6.5, §6.7). Drops that
	// are Expiring tell what is true for the account.
	PerUser bool
}

// ExpireAtOnce is the Policy.Expire announced as "EXPIRE 0".
const ExpireAtOnce time.Duration = -1

// Tracer sees the lines of a dialogue: dir is 'r' for a line read, 'w' for one
// written, '#' for a remark. Credentials are replaced by "***" before it sees
// them; messages and listings are left out. It is called by many sessions at
// once.
type Tracer func(s *Session, dir byte, line string)

// setup is what a Server has worked out of its fields.
type setup struct {
	limits   Limits
	hostname string
	log      *slog.Logger
}

func (s *Server) setUp() error {
	s.once.Do(func() {
		if err := s.TLSMode.Check(s.TLSConfig); err != nil {
			s.err = fmt.Errorf("pop3: %w", err)
		}
		s.conf = setup{limits: s.Limits.withDefaults(), hostname: s.Hostname, log: s.Log}
		if s.conf.hostname == "" {
			s.conf.hostname, _ = os.Hostname()
		}
		if s.conf.hostname == "" {
			s.conf.hostname = "localhost"
		}
		if s.conf.log == nil {
			s.conf.log = slog.Default()
		}
	})
	return s.err
}

// Serve accepts connections from l, each in a goroutine of its own, until
// Shutdown or Close, and then returns ErrServerClosed. It closes l.
//
// A listener may be wrapped, for example to read the PROXY protocol: the
// server asks a connection for its addresses only in the connection's own
// goroutine, where that may block.
func (s *Server) Serve(l net.Listener) error {
	if l == nil {
		return errors.New("pop3: Serve without a listener")
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
		return errors.New("pop3: ServeConn without a connection")
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
	addr := ":110"
	if s.TLSMode == ImplicitTLS {
		addr = ":995"
	}
	return lineserver.ListenAndServe(cmp.Or(s.Addr, addr), s.Serve)
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

// Shutdown stops accepting, tells idle clients [SYS/TEMP], lets commands in
// progress (RETR, QUIT) end, and waits for all sessions. What was marked by
// DELE without QUIT is not removed. When ctx ends first it closes the rest and
// returns ctx's error.
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
