package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/parsers/rules"
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
	Faults   *Faults
	Sessions *Sessions
	Saver    *Saver   // of messages into files; nil: where rules say so
	Yakkers  *Yakkers // nil: only rules know some
	// RefuseAll refuses every message, after it is saved.
	RefuseAll bool
	// Heard, if not nil, is told what is said, but not to or by yakkers.
	Heard smtp.Tracer
	Log   *slog.Logger
}

// Receiver is an SMTP server that puts all that comes into the Box.
func (b *Box) Receiver(r Receiving) *smtp.Server {
	in := &receiver{box: b, Receiving: r}
	if in.Chaos == nil {
		in.Chaos = &Chaos{}
	}
	if in.Faults == nil {
		in.Faults = &Faults{}
	}
	if in.Sessions == nil {
		in.Sessions = &Sessions{}
	}
	if in.Saver == nil {
		in.Saver = &Saver{}
	}
	if in.Yakkers == nil {
		in.Yakkers = &Yakkers{}
	}
	s := &smtp.Server{
		Hostname:      r.Hostname,
		Handler:       smtp.HandlerFunc(in.take),
		CheckConn:     in.connection,
		CheckHelo:     in.hello,
		CheckSender:   in.sender,
		CheckRcpt:     in.recipient,
		CheckData:     in.data,
		Credentials:   sasl.PasswordFunc(in.login),
		CleartextAuth: true,
		RequireAuth:   r.RequireAuth,
		TLSConfig:     r.TLSConfig,
		TLSMode:       r.TLSMode,
		Refused:       in.refused,
		Done:          in.done,
		Limits:        smtp.Limits{MessageSize: r.MessageSize, Recipients: r.Recipients, Conns: mostClients, ConnsPerBlock: -1, AuthErrors: -1, Idle: -1},
		Extensions:    smtp.Extensions{BinaryMIME: true, DSN: true},
		Trace:         in.trace,
		Log:           r.Log,
	}
	return s
}

// mostClients is how many may be connected at a time.
const mostClients = 1000

type receiver struct {
	box   *Box
	again again
	Receiving
}

// trace is an smtp.Tracer.
func (r *receiver) trace(s *smtp.Session, dir byte, text string) {
	if visitOf(s).yakker {
		return
	}
	r.Sessions.line(s, dir, text)
	if r.Heard != nil {
		r.Heard(s, dir, text)
	}
}

func (r *receiver) login(user, password, _ string) error {
	if err := r.Chaos.strike(AtLogin); err != nil {
		return err
	}
	return checkLogin(r.Logins, user, password)
}

func (r *receiver) connection(ctx context.Context, s *smtp.Session) error {
	visitOf(s) // here, so that it is there behind STARTTLS
	if err := r.welcome(s); err != nil {
		return err
	}
	_, err := r.fail(ctx, s, rules.AtConnect, r.factsOf(s))
	return err
}

func (r *receiver) hello(ctx context.Context, s *smtp.Session, name string) error {
	c := r.factsOf(s)
	c.Text[rules.Helo] = []string{name}
	_, err := r.fail(ctx, s, rules.AtHelo, c)
	return came(s, ReachedHelo, err)
}

func (r *receiver) sender(ctx context.Context, s *smtp.Session, from smtp.Path, p *smtp.Params) error {
	if err := r.Chaos.strike(AtSender); err != nil {
		return err
	}
	visitOf(s).note = ""
	_, err := r.fail(ctx, s, rules.AtFrom, withEnvelope(r.factsOf(s), from, nil, nil, p.Size), r.box.Name(s.User))
	return came(s, ReachedFrom, err)
}

// errNotAllowed refuses a recipient that is not among those allowed.
var errNotAllowed = &smtp.Reply{Code: 550, Enhanced: "5.7.1", Text: "this recipient is not among those that are allowed here"}

func (r *receiver) recipient(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
	if err := r.Chaos.strike(AtRecipient); err != nil {
		return err
	}
	e := s.Envelope
	c := withEnvelope(r.factsOf(s), e.From, e.To, &to.Path, e.Params.Size)
	if _, err := r.fail(ctx, s, rules.AtTo, c, r.inboxesOf(s, *to)...); err != nil {
		return err
	}
	if r.Allowed != nil && !r.Allowed.MatchString(to.Path.String()) {
		if !r.IgnoreOthers {
			return errNotAllowed
		}
		to.Value = ignored{}
	}
	return came(s, ReachedTo, nil)
}

func (r *receiver) data(ctx context.Context, s *smtp.Session) error {
	e := s.Envelope
	c := withEnvelope(r.factsOf(s), e.From, e.To, nil, e.Params.Size)
	_, err := r.fail(ctx, s, rules.AtData, c, r.inboxesOf(s, e.To...)...)
	return came(s, ReachedData, err)
}

// judge asks the rules about a message that is there.
func (r *receiver) judge(ctx context.Context, e *smtp.Envelope, raw []byte) (d rules.Decision, refused error) {
	if r.Faults.none() {
		return d, nil
	}
	c := withMessage(withEnvelope(r.factsOf(e.Session), e.From, e.To, nil, 0), raw)
	inboxes := r.inboxesOf(e.Session, e.To...)
	if d, refused = r.fail(ctx, e.Session, rules.AtHeader, c, inboxes...); d.Refuses() || refused != nil {
		return d, refused
	}
	return r.fail(ctx, e.Session, rules.AtMessage, c, inboxes...)
}

// inboxesOf are the inboxes whose rules are asked about recipients: theirs, and the login's.
func (r *receiver) inboxesOf(s *smtp.Session, to ...smtp.Recipient) (names []string) {
	for _, t := range to {
		names = append(names, r.box.Name(t.Path.String()))
	}
	if s.User != "" {
		names = append(names, r.box.Name(s.User))
	}
	slices.Sort(names)
	return slices.Compact(names)
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
	d, refused := r.judge(ctx, e, raw)
	if refused == nil && r.RefuseAll {
		refused = errRefusesAll
	}
	id := NewID()
	came(e.Session, ReachedMessage, nil)
	if err := r.saved(ctx, e, id, raw, refused); err != nil {
		return err
	}
	came(e.Session, ReachedAccepted, refused)
	// A connection that is cut behind the dot leaves the client in doubt: the message is
	// taken, and comes again.
	if refused != nil && d.Action != rules.Drop {
		return refused
	}
	queued := &smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as " + id}
	if len(to) == 0 || d.Action == rules.Discard {
		r.box.Ignore()
		return queued
	}
	s := e.Session
	var tags []string
	if r.TagLogins {
		tags = []string{s.User}
	}
	for _, t := range d.Tags {
		tags = append(tags, t.Value)
	}
	err = r.box.Put(ctx, id, Envelope{
		From: e.From.String(), To: to, Helo: s.Helo, User: s.User, Client: s.RemoteAddr.String(), TLS: s.TLS != nil,
		Protocol: e.Protocol(), Received: time.Now(), Session: s.ID, Host: s.LocalName,
	}, raw, tags...)
	if errors.Is(err, ErrTooLarge) {
		return &smtp.Reply{Code: 552, Enhanced: "5.3.4", Text: err.Error()}
	}
	if errors.Is(err, sys.NoSpace) || errors.Is(err, sys.QuotaExceeded) {
		r.Log.Error("a message cannot be kept", "error", err)
		return smtp.ErrNoSpace
	}
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return queued
}

// errRefusesAll is the answer to a message where every one is refused.
var errRefusesAll = &smtp.Reply{Code: 554, Enhanced: "5.7.1", Text: "No message is accepted here"}

// saved writes a message into a file, where that is asked for. What cannot be written is not accepted.
func (r *receiver) saved(ctx context.Context, e *smtp.Envelope, id string, raw []byte, refused error) error {
	v := visitOf(e.Session)
	if r.Saver.Dir == "" && r.Saver.Log == nil && v.saveDir == "" {
		return nil
	}
	t := takenOf(e, id, raw, time.Now())
	t.Note, t.Answer = v.note, "accepted"
	if refused != nil {
		t.Answer = refused.Error()
	}
	err := r.Saver.save(ctx, v.saveDir, t, raw)
	if err != nil {
		r.Log.Error("a message cannot be saved", "error", err)
		return smtp.ErrNoSpace
	}
	return nil
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
