package post

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// What senders hear about mail that stays here (RFC 3461): of success where they
// ask for it, and of failure where the session could not say it, because other
// recipients of the same message have it (plan.refuse). The queue tells about mail
// that leaves.

// onward is a recipient as it leaves for the targets of its address.
//
// RFC 3461 §5.2.7: an alias of one target hands on what the sender asked for;
// of one with several, the sender hears here and now that it was expanded, and
// of success no more. The address the sender knows goes along as ORCPT.
func onward(r smtp.Recipient, t accounts.Targets) smtp.Recipient {
	if !t.Local {
		return r
	}
	p := &r.Params
	if p.ORcpt == "" {
		p.ORcptType, p.ORcpt = "rfc822", r.Path.String()
		if !r.Path.IsASCII() {
			p.ORcptType = "utf-8"
		}
	}
	if p.Notify&smtp.NotifySuccess != 0 && t.Expands() {
		if p.Notify &^= smtp.NotifySuccess; p.Notify == 0 {
			p.Notify = smtp.NotifyNever // none at all would be the default: failure and delay
		}
	}
	return r
}

// success is what became of the recipients whose sender wants to hear of
// success, as far as it is decided here. They are named as the sender named
// them: where an alias leads is nobody's business.
func success(e *smtp.Envelope, to *plan) (all []rfc2822.RecipientStatus) {
	for i := range e.To {
		r := &e.To[i]
		t, _ := targetsOf(r)
		lost, _ := to.lost(r)
		if r.Params.Notify&smtp.NotifySuccess == 0 || r.Result != nil || lost != nil {
			continue
		}
		s := statusOf(e, r)
		s.Status = "2.0.0"
		switch {
		case len(t.Elsewhere) == 0:
			s.Action = rfc2822.Delivered
		case t.Expands():
			s.Action = rfc2822.Expanded
		default:
			continue // the queue tells
		}
		all = append(all, s)
	}
	return all
}

// statusOf names a recipient in a report as the sender named it.
func statusOf(e *smtp.Envelope, r *smtp.Recipient) rfc2822.RecipientStatus {
	s := rfc2822.RecipientStatus{FinalRecipient: r.Path.String(), FinalLogID: e.ID}
	if r.Params.ORcpt != "" {
		s.OriginalRecipient = r.Params.ORcptType + ";" + r.Params.ORcpt
	}
	return s
}

// canBounce reports whether the sender of a message would hear that a recipient
// did not get it: it wants to, there is a way, and the client is one whose sender
// we can believe. What a stranger gives as sender may be anybody's address, and
// is told nothing. size is as for Outbound.reaches.
func (r *Receiver) canBounce(ctx context.Context, e *smtp.Envelope, rcpt *smtp.Recipient, size func(mailbox domains.Address) int64) bool {
	n := rcpt.Params.Notify
	return r.Outbound != nil && !e.From.IsNull() && (n == 0 || n&smtp.NotifyFailure != 0) &&
		r.proven(e.Session) && r.Outbound.reaches(ctx, r.rules(e.Session).Directory, e.From, size)
}

// reportFailure tells the sender of a message who did not get it. It returns nil
// when the report is on stable storage; otherwise the message must not be called
// accepted, although others have it.
func (r *Receiver) reportFailure(ctx context.Context, e *smtp.Envelope, m *message, to []bounce) error {
	if len(to) == 0 {
		return nil
	}
	var recipients []rfc2822.RecipientStatus
	for _, b := range to {
		s := statusOf(e, b.rcpt)
		s.Action = rfc2822.Failed
		// Nobody tries again: what was a refusal for now is one for good.
		final := smtp.Reply{Code: 552, Enhanced: ofClass("5", b.reply.Enhanced), Text: b.reply.Text}
		s.Status, s.DiagnosticCode = final.Enhanced, final.Error()
		recipients = append(recipients, s)
		r.Log.Warn("recipient bounced", "session", e.Session.ID, "id", e.ID, "to", b.rcpt.Path.String(), "from", e.From.String(), "err", b.reply.Unwrap())
	}
	n, err := r.compose(e, m, queue.Bounce, recipients)
	if err == nil {
		err = r.Outbound.send(ctx, n)
	}
	if err != nil {
		return smtp.ErrTryLater.With(fmt.Errorf("report of failure: %w", err))
	}
	return nil
}

// reportSuccess tells the sender of a message that has just been stored, where
// the sender asked for it. It costs the client one more commit, and whatever
// goes wrong is in the log only: the message itself is safe.
func (r *Receiver) reportSuccess(ctx context.Context, e *smtp.Envelope, m *message, to *plan) {
	if r.Outbound == nil || e.From.IsNull() || !r.proven(e.Session) {
		return
	}
	recipients := success(e, to)
	if len(recipients) == 0 {
		return
	}
	n, err := r.compose(e, m, queue.Success, recipients)
	if err == nil {
		err = r.Outbound.send(ctx, n)
	}
	if err != nil {
		r.Log.Warn("no report of success", "session", e.Session.ID, "id", e.ID, "to", e.From.String(), "err", err)
	}
}

// compose writes a report about a message that came just now.
func (r *Receiver) compose(e *smtp.Envelope, m *message, kind queue.Kind, to []rfc2822.RecipientStatus) (*queue.Notification, error) {
	name, now := r.rules(e.Session).ServerName, time.Now()
	var original bytes.Buffer
	original.WriteString(m.top.completed) // by what was added its sender can know it
	if _, err := m.header.WriteTo(&original); err != nil {
		return nil, err
	}
	report := &rfc2822.Report{
		To: e.From.String(), MessageID: rfc2822.NewMessageID(name, now), Date: now,
		ReportingMTA: name, OriginalEnvelopeID: e.Params.EnvID, ReceivedFromMTA: e.Session.Helo, ArrivalDate: now,
		Recipients: to, UTF8: e.Params.SMTPUTF8,
		// RFC 3461 §4.3 wants no more for success, and §6.2 allows it for a failure:
		// the body has passed.
		Original: bytes.NewReader(original.Bytes()), Return: rfc2822.ReturnHeaders,
	}
	var text bytes.Buffer
	if _, err := report.WriteTo(&text); err != nil {
		return nil, err
	}
	n := &queue.Notification{To: e.From, Kind: kind, Proven: true, SMTPUTF8: e.Params.SMTPUTF8, Message: text.Bytes()}
	if slices.ContainsFunc(n.Message, func(b byte) bool { return b >= 0x80 }) {
		n.Body = smtp.Body8BitMIME
	}
	return n, nil
}
