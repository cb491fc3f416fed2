package smtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// setup is what a Server works out of its fields before it serves, once:
// what sessions read, and none of them writes.
type setup struct {
	*Server
	hooks          hooks
	hostname       string
	limits         Limits
	log            *slog.Logger
	tracer         Tracer
	commands       map[string]*command
	names          [maxCommands]string // by command.index; empty if switched off
	maxLine        int                 // the longest line read as a command
	recipientCount recipientCount

	// offers are the extensions offered in the best case, see session.offersNow,
	// by row of their table, and offered the same by keyword.
	offers  []bool
	offered map[string]bool
}

// hooks are the application's part of a session: the Server's callbacks, or
// the events made of them.
type hooks struct {
	conn    func(ctx context.Context, s *Session) error
	helo    func(ctx context.Context, s *Session, name string) error
	sender  func(ctx context.Context, s *Session, from Path, p *Params) error
	rcpt    func(ctx context.Context, s *Session, to *Recipient) error
	data    func(ctx context.Context, s *Session) error
	vrfy    func(ctx context.Context, s *Session, arg string, expand bool) *Reply
	handler Handler
	creds   sasl.Credentials
	// auth, if not nil, decides instead of creds which account an exchange
	// ends with; run carries it out.
	auth  func(s *Session, mechanism string, run func(sasl.Credentials) (string, error)) (string, error)
	tls   func(s *Session, err error)
	reset func(s *Session)
	done  func(s *Session, sum *Summary)
}

// setUp checks the settings and works them out, once.
func (s *Server) setUp() error {
	s.once.Do(func() { s.conf, s.err = s.newSetup(false) })
	return s.err
}

// newSetup does its work. events: the mail goes to a loop over events,
// not to a Handler.
func (s *Server) newSetup(events bool) (*setup, error) {
	c := &setup{Server: s, hostname: s.Hostname, limits: s.Limits.withDefaults(), log: s.Log, tracer: s.Trace}
	c.hooks = hooks{conn: s.CheckConn, helo: s.CheckHelo, sender: s.CheckSender, rcpt: s.CheckRcpt, data: s.CheckData, vrfy: s.CheckVrfy, handler: s.Handler, creds: s.Credentials, done: s.Done}
	switch err := s.TLSMode.Check(s.TLSConfig); {
	case err != nil:
		return nil, fmt.Errorf("smtp: %w", err)
	case s.Handler == nil && !events && s.CheckRcpt != nil:
		return nil, errors.New("smtp: recipients can be accepted, but there is no Handler for their mail")
	case s.Handler != nil && !events && !s.decides():
		return nil, errors.New(`smtp: nothing says which recipients the Handler is for: set CheckRcpt, or use a ServeMux ("*@*" is everybody)`)
	case s.RequireAuth && s.Credentials == nil && !events:
		return nil, errors.New("smtp: RequireAuth without Credentials")
	}
	if c.hostname == "" {
		name, err := os.Hostname()
		if err != nil || name == "" {
			name = "localhost"
		}
		c.hostname = name
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.tracer == nil && c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.tracer = func(s *Session, dir byte, line string) { s.LogDialogue(c.log, dir, line) }
	}
	if s.RequireAuth && !events && s.TLSConfig == nil && len(sasl.Offered(c.hooks.creds, &sasl.Peer{Service: "smtp"}, s.CleartextAuth, s.Mechanisms...)) == 0 {
		return nil, errors.New("smtp: RequireAuth, but no mechanism can be offered: those there are need TLS, and there is no TLSConfig (CleartextAuth allows passwords in the clear)")
	}
	c.chooseExtensions()
	c.commands = c.table()
	if c.limits.Line < 0 || c.limits.Line > textual.MaxLine {
		c.limits.Line = textual.MaxLine
	}
	c.maxLine = c.limits.Line
	if c.hooks.creds != nil {
		c.maxLine = max(c.maxLine, maxAuthLine)
	}
	c.recipientCount = recipientCount{int64(c.limits.AllRecipients), &s.recipients}
	return c, nil
}

// decides reports whether anybody is asked about recipients.
func (s *Server) decides() bool {
	_, matches := s.Handler.(matcher)
	return matches || s.CheckRcpt != nil
}
