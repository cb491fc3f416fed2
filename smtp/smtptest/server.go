// Package smtptest has SMTP servers for the tests of programs that send mail, as
// net/http/httptest has HTTP servers:
//
//	s := smtptest.NewServer()
//	defer s.Close()
//	send(s.Addr) // the code under test
//	m, err := s.Next(ctx)
//
// A server keeps what it is sent in an inbox, and goes wrong on demand: it cuts
// the connection at any command or behind the dot, answers garbage, or late, is
// full, says 4yz and then 2yz, or fails the TLS handshake (Fault). Everything
// between is the real engine of package smtp.
package smtptest

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/internal/faulty"
	"github.com/postrider-mail/postrider/smtp"
)

// Message is one that a Server has taken: it was acknowledged, or would have
// been if Cut or Raw had not come in between.
type Message struct {
	ID         string // as it stands in the 250
	Helo, User string // of the session
	TLS        bool   // it came under TLS
	From       string // without angle brackets; "" is the null sender
	To         []string
	Params     smtp.Params
	Data       []byte // as it was sent: lines end in CRLF, dots unstuffed
}

// Server is an SMTP server on an address of the loopback interface. Its methods
// may be called by any number of goroutines.
type Server struct {
	// Addr is where it listens, "127.0.0.1:port", once it is started.
	Addr string
	// Config may be changed between NewUnstartedServer and Start. Handler,
	// CheckConn, CheckHelo, CheckSender, CheckRcpt, CheckData, Trace and the
	// function of TLSConfig that Faults need are set by Start: what stands
	// there is called first, except Handler, which is called in place of the
	// inbox.
	Config *smtp.Server
	// Certificate is the server's own, good for 127.0.0.1 and localhost; nil if
	// there is none.
	Certificate *x509.Certificate

	engine *faulty.Engine

	mu      sync.Mutex
	inbox   []Message
	read    int           // of inbox, by Next
	arrived chan struct{} // closed and replaced when something arrives
}

// NewServer starts a server without TLS.
func NewServer(faults ...Fault) *Server { return started(NewUnstartedServer(faults...)) }

// NewStartTLSServer starts a server that offers STARTTLS.
func NewStartTLSServer(faults ...Fault) *Server {
	s := NewUnstartedServer(faults...)
	s.certify()
	return started(s)
}

// NewTLSServer starts a server that begins with the TLS handshake, as on port
// 465.
func NewTLSServer(faults ...Fault) *Server {
	s := NewUnstartedServer(faults...)
	s.certify()
	s.Config.TLSMode = smtp.ImplicitTLS
	return started(s)
}

func started(s *Server) *Server {
	s.Start()
	return s
}

// NewUnstartedServer makes a server whose Config can be changed before Start.
// It takes every recipient, and passwords in the clear if Config.Credentials are set.
func NewUnstartedServer(faults ...Fault) *Server {
	s := &Server{
		Config:  &smtp.Server{Hostname: "mx.example.com", CleartextAuth: true, Log: slog.New(slog.DiscardHandler)},
		arrived: make(chan struct{}),
		engine:  faulty.New("smtptest", answered...),
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

// Dialer is a client's that trusts the server's certificate.
func (s *Server) Dialer() *smtp.Dialer {
	d := &smtp.Dialer{Hello: "client.example.net", TLSConfig: faulty.Trusting(s.Certificate)}
	if s.Config.TLSMode == smtp.ImplicitTLS {
		d.TLS = smtp.TLSFromStart
	}
	return d
}

// Messages are all messages that were taken so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.inbox...)
}

// Next returns the first message that Next has not returned yet, and waits for
// it until ctx ends or the server is closed.
func (s *Server) Next(ctx context.Context) (Message, error) {
	return s.next(ctx, func() (Message, bool) {
		if s.read == len(s.inbox) {
			return Message{}, false
		}
		s.read++
		return s.inbox[s.read-1], true
	})
}

// Commands are the command lines that clients have sent so far, in order,
// without credentials.
func (s *Server) Commands() []string { return s.engine.Commands() }

// serve puts a message into the inbox.
func (s *Server) serve(ctx context.Context, e *smtp.Envelope, own smtp.Handler) error {
	m := Message{ID: e.ID, Helo: e.Session.Helo, User: e.Session.User, TLS: e.Session.TLS != nil, From: e.From.String(), Params: e.Params}
	for _, to := range e.To {
		m.To = append(m.To, to.String())
	}
	var err error
	if own != nil {
		err = own.ServeSMTP(ctx, e)
	} else {
		m.Data, err = io.ReadAll(e.Data)
	}
	if err != nil {
		return err
	}
	if own != nil {
		io.Copy(io.Discard, e.Data)
	}
	fault := s.engine.Due("message", "<"+m.From+"> <"+strings.Join(m.To, "> <")+">")
	var r *smtp.Reply
	if own == nil && (!errors.As(fault.Reply, &r) || r.Positive()) {
		s.keep(m) // before the client can notice anything
	}
	s.engine.Do(&e.Session.Identity, fault)
	return fault.Reply
}

func (s *Server) keep(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbox = append(s.inbox, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
}
