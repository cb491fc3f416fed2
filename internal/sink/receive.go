package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// Receiving says how mail is taken.
type Receiving struct {
	Hostname string
	// Logins are who may log in, with their passwords. nil: whoever does, with any password.
	Logins      map[string]string
	RequireAuth bool
	TLSConfig   *tls.Config // nil: no STARTTLS
	TLSMode     smtp.TLSMode
	MessageSize int64 // octets of one message; 0 means 50 MiB
	Recipients  int   // of one message; 0 means 1000
	// Allowed are the recipients that are taken; nil: any. Others are refused, or taken
	// and forgotten with IgnoreOthers.
	Allowed      *regexp.Regexp
	IgnoreOthers bool
	TagLogins    bool // the login becomes a tag

	Chaos    *Chaos
	Sessions *Sessions
	Log      *slog.Logger
}

// Receiver is an SMTP server that puts all that comes into the Box.
func (b *Box) Receiver(r Receiving) *smtp.Server {
	in := &receiver{box: b, Receiving: r}
	if in.Chaos == nil {
		in.Chaos = &Chaos{}
	}
	if in.Sessions == nil {
		in.Sessions = &Sessions{}
	}
	s := &smtp.Server{
		Hostname:      r.Hostname,
		Handler:       smtp.HandlerFunc(in.take),
		CheckSender:   in.sender,
		CheckRcpt:     in.recipient,
		Credentials:   sasl.PasswordFunc(in.login),
		CleartextAuth: true,
		RequireAuth:   r.RequireAuth,
		TLSConfig:     r.TLSConfig,
		TLSMode:       r.TLSMode,
		Refused:       in.refused,
		Limits:        smtp.Limits{MessageSize: r.MessageSize, Recipients: r.Recipients, Conns: mostClients, ConnsPerBlock: -1, AuthErrors: -1, Idle: -1},
		Extensions:    smtp.Extensions{BinaryMIME: true, DSN: true},
		Trace:         in.Sessions.line,
		Log:           r.Log,
	}
	return s
}

// mostClients is how many may be connected at a time.
const mostClients = 1000

type receiver struct {
	box *Box
	Receiving
}

func (r *receiver) login(user, password, _ string) error {
	if err := r.Chaos.strike(AtLogin); err != nil {
		return err
	}
	return checkLogin(r.Logins, user, password)
}

func (r *receiver) sender(context.Context, *smtp.Session, smtp.Path, *smtp.Params) error {
	return r.Chaos.strike(AtSender)
}

// errNotAllowed refuses a recipient that is not among those allowed.
var errNotAllowed = &smtp.Reply{Code: 550, Enhanced: "5.7.1", Text: "this recipient is not among those that are allowed here"}

func (r *receiver) recipient(_ context.Context, _ *smtp.Session, to *smtp.Recipient) error {
	if err := r.Chaos.strike(AtRecipient); err != nil {
		return err
	}
	if r.Allowed != nil && !r.Allowed.MatchString(to.Path.String()) {
		if !r.IgnoreOthers {
			return errNotAllowed
		}
		to.Value = ignored{}
	}
	return nil
}

// ignored marks a recipient who is accepted and forgotten.
type ignored struct{}

// take puts a message into the Box. The reply's last word is its id.
func (r *receiver) take(ctx context.Context, e *smtp.Envelope) error {
	var to []string
	for _, rcpt := range e.To {
		if rcpt.Value == nil {
			to = append(to, rcpt.Path.String())
		}
	}
	raw, err := readAll(e)
	if err != nil {
		return err
	}
	id := NewID()
	queued := &smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as " + id}
	if len(to) == 0 {
		r.box.Ignore()
		return queued
	}
	s := e.Session
	var tags []string
	if r.TagLogins {
		tags = []string{s.User}
	}
	err = r.box.Put(ctx, id, Envelope{
		From: e.From.String(), To: to, Helo: s.Helo, User: s.User, Client: s.RemoteAddr.String(), TLS: s.TLS != nil,
		Protocol: e.Protocol(), Received: time.Now(), Session: s.ID, Host: s.LocalName,
	}, raw, tags...)
	if errors.Is(err, ErrTooLarge) {
		return &smtp.Reply{Code: 552, Enhanced: "5.3.4", Text: err.Error()}
	}
	if err != nil {
		return err
	}
	return queued
}

// readAll reads a message, into a buffer that fits where its size was announced.
func readAll(e *smtp.Envelope) ([]byte, error) {
	var b bytes.Buffer
	if size := e.Params.Size; size > 0 && size < 1<<20 {
		b.Grow(int(size) + bytes.MinRead)
	}
	if _, err := io.Copy(&b, e.Data); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil
}

func (r *receiver) refused(s *smtp.Session, f *smtp.Refusal) {
	r.box.Refuse()
	r.box.Fail(Failure{Service: "smtpd", Client: s.RemoteAddr.String(), Text: f.Reply.Error()})
}
