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
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
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

	mu       sync.Mutex
	faults   []*counted
	inbox    []Message
	read     int           // of inbox, by Next
	arrived  chan struct{} // closed and replaced when something arrives
	said     []string
	sessions map[*smtp.Session]*session
	conns    map[string]*conn // by remote address
	closed   chan struct{}
	serving  sync.WaitGroup
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
// It takes every recipient, and passwords in the clear if Config.Auth is set.
func NewUnstartedServer(faults ...Fault) *Server {
	s := &Server{
		Config:   &smtp.Server{Hostname: "mx.example.com", CleartextAuth: true, Log: slog.New(slog.DiscardHandler)},
		arrived:  make(chan struct{}),
		closed:   make(chan struct{}),
		sessions: make(map[*smtp.Session]*session),
		conns:    make(map[string]*conn),
	}
	s.SetFaults(faults...)
	return s
}

// SetFaults replaces the Faults; what was counted begins anew. It panics if one
// could never happen.
func (s *Server) SetFaults(faults ...Fault) {
	all := make([]*counted, len(faults))
	for i, f := range faults {
		f.check()
		all[i] = &counted{Fault: f}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = all
}

// certify makes the server's certificate.
func (s *Server) certify() {
	certPEM, keyPEM, err := certs.SelfSigned("127.0.0.1", "localhost")
	if err != nil {
		panic("smtptest: " + err.Error())
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		panic("smtptest: " + err.Error())
	}
	s.Certificate = cert.Leaf
	s.Config.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
}

// Start listens and serves. It panics if it cannot, as httptest's does.
func (s *Server) Start() {
	s.instrument()
	for _, f := range s.faults {
		if f.Raw != "" { // what replaces a reply must not replace others that leave with it
			s.Config.Extensions.Hide = append(s.Config.Extensions.Hide, "PIPELINING")
			break
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("smtptest: " + err.Error())
	}
	s.Addr = l.Addr().String()
	failed := make(chan error, 1)
	s.serving.Go(func() { failed <- s.Config.Serve(&listener{l, s}) })
	select {
	case err := <-failed:
		panic("smtptest: " + err.Error())
	case <-time.After(10 * time.Millisecond): // what is wrong with a Config shows at once
	}
}

// Close closes the listener and all connections and waits for their sessions.
func (s *Server) Close() {
	s.mu.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.mu.Unlock()
	s.Config.Close()
	s.serving.Wait()
	for s.Config.Sessions() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// Dialer is a client's that trusts the server's certificate.
func (s *Server) Dialer() *smtp.Dialer {
	d := &smtp.Dialer{Hello: "client.example.net"}
	if s.Certificate == nil {
		return d
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate)
	d.TLSConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
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
	for {
		s.mu.Lock()
		if s.read < len(s.inbox) {
			s.read++
			m := s.inbox[s.read-1]
			s.mu.Unlock()
			return m, nil
		}
		arrived := s.arrived
		s.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return Message{}, context.Cause(ctx)
		case <-s.closed:
			return Message{}, errors.New("smtptest: the server is closed")
		}
	}
}

// Commands are the command lines that clients have sent so far, in order,
// without credentials.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.said...)
}

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
	fault := s.due("message")
	var r *smtp.Reply
	if own == nil && (!errors.As(fault.Reply, &r) || r.Positive()) {
		s.keep(m) // before the client can notice anything
	}
	s.do(e.Session, fault)
	return fault.Reply
}

func (s *Server) keep(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbox = append(s.inbox, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// verb is the command of a line.
func verb(line string) string {
	word, _, _ := strings.Cut(line, " ")
	return strings.ToUpper(word)
}
