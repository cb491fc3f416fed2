package filter

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/greylist"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Filter asks the rules. Its fields must not be changed while it works; its methods may be called
// concurrently for several sessions.
type Filter struct {
	// Rules returns those of the settings of the moment; nil: there are none. A session's transaction keeps
	// to what it got at MAIL.
	Rules func() *rules.Set
	// Verifier has found out what rules may ask about a stranger, asks the DNS, and knows who has come again.
	Verifier *verify.Verifier
	// Decided is told the action of each decision, as rules write it; nil: nobody is.
	Decided func(action string)
	// Greylist returns the times of the settings for those whom rules have come again; nil: nobody is.
	Greylist func() greylist.Times
}

// longestDelay is the most that rules may have a client wait for one answer: others' time-outs are five
// minutes (RFC 5321 §4.5.3.2).
const longestDelay = 4 * time.Minute

// Connect is for smtp.Server.CheckConn.
func (f *Filter) Connect(ctx context.Context, s *smtp.Session) error {
	return f.ask(ctx, f.visit(s), rules.AtConnect)
}

// Helo is for smtp.Server.CheckHelo.
func (f *Filter) Helo(ctx context.Context, s *smtp.Session, name string) error {
	v := f.visit(s)
	v.helo, v.greeted, v.set = name, true, f.Rules()
	v.memory.Forget()
	return f.ask(ctx, v, rules.AtHelo)
}

// Data is for smtp.Server.CheckData.
func (f *Filter) Data(ctx context.Context, s *smtp.Session) error {
	return f.ask(ctx, f.visit(s), rules.AtData)
}

// Sender implements post.Inspector.
func (f *Filter) Sender(ctx context.Context, s *smtp.Session, from smtp.Path, trusted bool) error {
	v := f.visit(s)
	v.begin(f.Rules(), from, trusted)
	return f.ask(ctx, v, rules.AtFrom)
}

// Recipient implements post.Doorkeeper.
func (f *Filter) Recipient(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
	v := f.visit(s)
	v.rcpt = &to.Path
	defer func() { v.rcpt = nil }()
	return f.ask(ctx, v, rules.AtTo)
}

// visit is what is known of a session so far.
func (f *Filter) visit(s *smtp.Session) *visit {
	v, ok := s.Values[f].(*visit)
	if !ok {
		v = &visit{f: f, set: f.Rules()}
		s.Set(f, v)
	}
	v.s = s
	if a, _ := lineserver.IP(s.RemoteAddr); a != v.addr { // a proxy may tell another one
		v.addr, v.reverse, v.listed = a, nil, nil
		v.memory.Forget()
	}
	return v
}

// ask evaluates the rules of a phase. A refusal is the error.
func (f *Filter) ask(ctx context.Context, v *visit, p rules.Phase) error {
	_, err := f.decide(ctx, v, p)
	return err
}

// decide evaluates the rules of a phase, and waits where they say so.
func (f *Filter) decide(ctx context.Context, v *visit, p rules.Phase) (d rules.Decision, err error) {
	if v.set == nil || v.set.Len() == 0 {
		return d, nil
	}
	v.ctx, v.phase, v.to = ctx, p, nil
	d = v.set.Eval(p, v)
	if d.Action != rules.None && f.Decided != nil {
		f.Decided(d.Action.String())
	}
	if p <= rules.AtHelo { // before STARTTLS
		v.s.NoTLS = v.s.NoTLS || d.TLS == "off"
		v.s.NoClientCertificate = v.s.NoClientCertificate || d.TLS == "no-client"
	}
	if d.Delay > 0 {
		wait(ctx, min(d.Delay, longestDelay))
	}
	if d.Greylist.Rule.Line != 0 {
		if later := f.later(ctx, v, d.Greylist); later != nil {
			return d, later
		}
	}
	if !d.Refuses() {
		return d, nil
	}
	reply := &smtp.Reply{Code: d.Reply.Code, Enhanced: d.Reply.Enhanced, Text: d.Reply.Text}
	if d.Action == rules.Drop {
		reply = (&smtp.Reply{Code: 421, Enhanced: "4.7.0", Text: "The connection is closed without a word"}).Unsaid()
	}
	return d, reply.Noting(facts(d)...)
}

// later has who is not trusted come again as a rule says; nil: he has done so.
func (f *Filter) later(ctx context.Context, v *visit, rule rules.Again) error {
	if v.trusted || v.s.User != "" || v.from == nil || f.Greylist == nil {
		return nil
	}
	to := v.recipients()
	if len(to) == 0 {
		return nil
	}
	reply := f.Verifier.Later(ctx, v.s, *v.from, to[0], f.Greylist(), rule.Message)
	if reply == nil {
		return nil
	}
	return reply.Noting(facts(rules.Decision{Action: rules.Greylist, Rule: rule.Rule, Options: rules.Options{Note: rule.Note}})...)
}

// wait waits, but not longer than the client is there.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// facts are what the log says of a decision.
func facts(d rules.Decision) []slog.Attr {
	attrs := []slog.Attr{slog.String("rule", fmt.Sprintf("%s:%d", d.Rule.File, d.Rule.Line)), slog.String("action", d.Action.String())}
	if d.Note != "" {
		attrs = append(attrs, slog.String("note", d.Note))
	}
	return attrs
}

// Inspect implements post.Inspector.
func (f *Filter) Inspect(ctx context.Context, look *post.Look) post.Inspection {
	v := f.visit(look.Envelope.Session)
	if v.set == nil || v.set.Len() == 0 {
		return nil
	}
	v.look, v.envelope = look, look.Envelope
	clear(v.fields)
	i := &inspection{v: v, size: int64(look.Header.Size())}
	_, i.refused = f.decide(ctx, v, rules.AtHeader)
	return i
}

// inspection is one message that passes.
type inspection struct {
	v       *visit
	size    int64
	refused error
}

// Write implements io.Writer. What is refused is not read on.
func (i *inspection) Write(p []byte) (int, error) {
	i.size += int64(len(p))
	return len(p), i.refused
}

// Most implements post.Inspection.
func (i *inspection) Most() (results, fields int) {
	for _, t := range i.v.set.Tags() {
		fields += len(t.Name) + len(t.Value) + 16
	}
	if len(i.v.set.Places()) > 0 {
		results = 256
		for _, to := range i.v.envelope.To[:min(len(i.v.envelope.To), mostOriginal)] {
			results += len(to.Path.Local) + len(to.Path.Domain) + 24
		}
	}
	return results, fields
}

// Places implements post.Diverter.
func (i *inspection) Places() (all []domains.Address) {
	for _, p := range i.v.set.Places() {
		if p.Mailbox != "" {
			all = append(all, domains.Address(p.Mailbox))
		}
	}
	return all
}

// Findings implements post.Inspection.
func (i *inspection) Findings(ctx context.Context) (found post.Findings, err error) {
	if i.refused != nil {
		return found, i.refused
	}
	i.v.size = i.size
	d, err := i.v.f.decide(ctx, i.v, rules.AtMessage)
	if err != nil {
		return found, err
	}
	var tags []string
	for _, t := range d.Tags {
		if field, err := rfc2822.NewField(t.Name, t.Value); err == nil {
			found.Fields = append(found.Fields, field.Raw())
			tags = append(tags, t.Name)
		}
	}
	if len(tags) > 0 {
		found.Facts = append(found.Facts, slog.String("tags", strings.Join(tags, ",")))
	}
	switch d.Action {
	case rules.Discard:
		found.Instead = &post.Instead{}
	case rules.Quarantine, rules.Redirect:
		if d.Mailbox == "" { // the place of the settings; where there is none it is delivered, marked
			found.Junk, found.Aside = true, cmp.Or(d.Note, "a rule of this server")
			if verdict := i.v.f.Verifier.VerdictOf(i.v.s); verdict == nil || !verdict.Marked() {
				found.Results = append(found.Results, verify.Marks(found.Aside)...)
			}
			break
		}
		found.Instead = &post.Instead{Mailbox: domains.Address(d.Mailbox)}
		found.Results = append(found.Results, original(i.v.envelope)...)
	case rules.None:
		if d.Note != "" {
			found.Facts = append(found.Facts, slog.String("note", d.Note))
		}
		return found, nil
	}
	found.Facts = append(found.Facts, facts(d)...)
	return found, nil
}

// mostOriginal is how many recipients stand on top of a message that was put aside.
const mostOriginal = 50

// original says whom a message was for, that lies in another's mailbox.
func original(e *smtp.Envelope) (fields []string) {
	for i := range e.To[:min(len(e.To), mostOriginal)] {
		if field, err := rfc2822.NewField("X-Original-To", e.To[i].Path.String()); err == nil {
			fields = append(fields, field.Raw())
		}
	}
	return fields
}
