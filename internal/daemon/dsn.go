package daemon

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// What senders ask to hear about mail that stays here (RFC 3461). Failure and
// delay need no report: a mailbox that cannot take a message says so in the
// session. The queue tells about mail that leaves.

// onward is a recipient as it leaves for the targets of its address.
//
// RFC 3461 §5.2.7: an alias of one target hands on what the sender asked for;
// of one with several, the sender hears here and now that it was expanded, and
// of success no more. The address the sender knows goes along as ORCPT.
func onward(r smtp.Recipient, t targets) smtp.Recipient {
	if !t.forwarded {
		return r
	}
	p := &r.Params
	if p.ORcpt == "" {
		p.ORcptType, p.ORcpt = "rfc822", r.Path.String()
		if !r.Path.IsASCII() {
			p.ORcptType = "utf-8"
		}
	}
	if p.Notify&smtp.NotifySuccess != 0 && t.expands() {
		if p.Notify &^= smtp.NotifySuccess; p.Notify == 0 {
			p.Notify = smtp.NotifyNever // none at all would be the default: failure and delay
		}
	}
	return r
}

// expands says whether the address is a list of some kind.
func (t targets) expands() bool { return len(t.mailboxes)+len(t.elsewhere) > 1 }

// success is what became of the recipients whose sender wants to hear of
// success, as far as it is decided here. They are named as the sender named
// them: where an alias leads is nobody's business.
func success(e *smtp.Envelope) (all []rfc2822.RecipientStatus) {
	for i := range e.To {
		r := &e.To[i]
		t, _ := r.Value.(targets)
		if r.Params.Notify&smtp.NotifySuccess == 0 || r.Result != nil {
			continue
		}
		s := rfc2822.RecipientStatus{FinalRecipient: r.Path.String(), Status: "2.0.0", FinalLogID: e.ID}
		switch {
		case len(t.elsewhere) == 0:
			s.Action = rfc2822.Delivered
		case t.expands():
			s.Action = rfc2822.Expanded
		default:
			continue // the queue tells
		}
		if r.Params.ORcpt != "" {
			s.OriginalRecipient = r.Params.ORcptType + ";" + r.Params.ORcpt
		}
		all = append(all, s)
	}
	return all
}

// proven reports whether a message is from its sender beyond doubt: who has logged
// in or comes from a host that is trusted. Anybody else may have forged it, and
// we mail nobody who has not written to us: no news of success, a trickle of bounces
// without the message in them, and no more than a share of the queue. What else
// proves a sender belongs here.
func (d *Daemon) proven(e *smtp.Envelope) bool {
	return e.User != "" || containsAddr(d.state().settings.SMTP.RelayFrom, e.RemoteAddr)
}

// reportSuccess tells the sender of a message that has just been stored, where
// the sender asked for it. It costs the client one more commit, and whatever
// goes wrong is in the log only: the message itself is safe.
func (r *receiver) reportSuccess(ctx context.Context, e *smtp.Envelope, header *rfc2822.Section) {
	if r.d.outbound == nil || e.From.IsNull() || !r.d.proven(e) {
		return
	}
	recipients := success(e)
	if len(recipients) == 0 {
		return
	}
	n, err := r.composeSuccess(e, header, recipients)
	if err == nil {
		err = r.d.outbound.tell(ctx, n)
	}
	if err != nil {
		r.d.log.Warn("no report of success", "session", e.Session.ID, "id", e.ID, "to", e.From.String(), "err", err)
	}
}

func (r *receiver) composeSuccess(e *smtp.Envelope, header *rfc2822.Section, to []rfc2822.RecipientStatus) (*queue.Notification, error) {
	name, now := r.d.state().settings.ServerName, time.Now()
	var original bytes.Buffer
	if _, err := header.WriteTo(&original); err != nil {
		return nil, err
	}
	report := &rfc2822.Report{
		To: e.From.String(), MessageID: rfc2822.NewMessageID(name, now), Date: now,
		ReportingMTA: name, OriginalEnvelopeID: e.Params.EnvID, ReceivedFromMTA: e.Helo, ArrivalDate: now,
		Recipients: to, UTF8: e.Params.SMTPUTF8,
		// RFC 3461 §4.3: RET=FULL is about failures; the header will do here.
		Original: bytes.NewReader(original.Bytes()), Return: rfc2822.ReturnHeaders,
	}
	var text bytes.Buffer
	if _, err := report.WriteTo(&text); err != nil {
		return nil, err
	}
	n := &queue.Notification{To: e.From.String(), Kind: queue.Success, Proven: true, SMTPUTF8: e.Params.SMTPUTF8, Message: text.Bytes()}
	if slices.ContainsFunc(n.Message, func(b byte) bool { return b >= 0x80 }) {
		n.Body = queue.EightBit
	}
	return n, nil
}
