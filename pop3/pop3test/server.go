// Package pop3test has POP3 servers for the tests of programs that fetch mail, as
// net/http/httptest has HTTP servers:
//
//	s := pop3test.NewServer()
//	defer s.Close()
//	s.Add("Subject: hello\r\n\r\nHello.\r\n")
//	fetch(s.Addr, pop3test.User, pop3test.Password) // the code under test
//	left := s.Messages()
//
// A server has one mailbox, and goes wrong on demand: it cuts the connection at
// any command or within a message, answers garbage, or late, says that the
// maildrop is in use, or fails the TLS handshake (Fault). Everything between is
// the real engine of package pop3.
package pop3test

import (
	"crypto/x509"
	"log/slog"
	"strconv"
	"sync"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/faulty"
	"github.com/postrider-mail/postrider/pop3"
)

// The one account of a Server.
const (
	User     = "bob@example.com"
	Password = "secret"
)

// Message is one that is in the mailbox.
type Message struct {
	UID  string // "1", "2" and so on, never the same for two messages of a Server
	Data []byte // as it is given out
}

// Server is a POP3 server on an address of the loopback interface. Its methods
// may be called by any number of goroutines.
type Server struct {
	// Addr is where it listens, "127.0.0.1:port", once it is started.
	Addr string
	// Config may be changed between NewUnstartedServer and Start. Backend,
	// CheckConn, Trace and the function of TLSConfig that Faults need are set by
	// Start: what stands there is called first, except Backend, which is called
	// in place of the mailbox.
	Config *pop3.Server
	// Certificate is the server's own, good for 127.0.0.1 and localhost; nil if
	// there is none.
	Certificate *x509.Certificate

	engine *faulty.Engine

	mu      sync.Mutex
	mailbox []Message
	added   int
	locked  bool
}

// NewServer starts a server without TLS.
func NewServer(faults ...Fault) *Server { return started(NewUnstartedServer(faults...)) }

// NewStartTLSServer starts a server that offers STLS.
func NewStartTLSServer(faults ...Fault) *Server {
	s := NewUnstartedServer(faults...)
	s.certify()
	return started(s)
}

// NewTLSServer starts a server that begins with the TLS handshake, as on port
// 995.
func NewTLSServer(faults ...Fault) *Server {
	s := NewUnstartedServer(faults...)
	s.certify()
	s.Config.TLSMode = pop3.ImplicitTLS
	return started(s)
}

func started(s *Server) *Server {
	s.Start()
	return s
}

// NewUnstartedServer makes a server whose Config can be changed before Start. It
// takes User with Password, also in the clear.
func NewUnstartedServer(faults ...Fault) *Server {
	s := &Server{
		Config: &pop3.Server{
			Hostname:      "pop.example.com",
			CleartextAuth: true,
			Limits:        pop3.Limits{FailureDelay: -1, InUse: -1},
			Log:           slog.New(slog.DiscardHandler),
			Credentials: sasl.PasswordFunc(func(user, password, _ string) error {
				if user != User || password != Password {
					return sasl.ErrDenied
				}
				return nil
			}),
		},
		engine: faulty.New("pop3test", answered...),
	}
	s.SetFaults(faults...)
	return s
}

// SetFaults replaces the Faults; what was counted begins anew. It panics if one
// could never happen.
func (s *Server) SetFaults(faults ...Fault) {
	s.engine.SetFaults(common(faults)...)
}

// certify makes the server's certificate.
func (s *Server) certify() { s.Certificate, s.Config.TLSConfig = s.engine.Certify() }

// Start listens and serves. It panics if it cannot, as httptest's does.
func (s *Server) Start() {
	s.instrument()
	s.Addr = s.engine.Start(s.Config.Serve)
}

// Close closes the listener and all connections and waits for their sessions.
func (s *Server) Close() { s.engine.Close(s.Config) }

// Dialer is a client's that logs in as User and trusts the server's certificate.
func (s *Server) Dialer() *pop3.Dialer {
	d := &pop3.Dialer{User: User, Password: Password, TLSConfig: faulty.Trusting(s.Certificate)}
	if s.Config.TLSMode == pop3.ImplicitTLS {
		d.TLS = pop3.TLSFromStart
	}
	return d
}

// Add puts messages into the mailbox, for sessions that begin later. Lines end in
// CRLF.
func (s *Server) Add(messages ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.added++
		s.mailbox = append(s.mailbox, Message{UID: strconv.Itoa(s.added), Data: []byte(m)})
	}
}

// Messages are those in the mailbox now: all that were added and not removed.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.mailbox...)
}

// Commands are the command lines that clients have sent so far, in order,
// without credentials.
func (s *Server) Commands() []string { return s.engine.Commands() }
