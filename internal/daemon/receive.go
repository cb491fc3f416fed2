package daemon

import (
	"context"
	"errors"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/smtp"
)

// receiver is one listener's way in: the answers an SMTP or LMTP server asks
// for, and the handler that puts a message where it belongs.
type receiver struct {
	d        *Daemon
	protocol conf.Protocol
}

// trusts says whether the client may send mail to other hosts.
func (r *receiver) trusts(s *smtp.Session) bool {
	return s.User != "" || containsAddr(r.d.state().settings.SMTP.RelayFrom, s.RemoteAddr)
}

// checkSender binds the sender of submitted mail to the account.
func (r *receiver) checkSender(_ context.Context, s *smtp.Session, from smtp.Path, _ *smtp.Params) error {
	if r.protocol != conf.ProtocolSubmission || s.User == "" {
		return nil
	}
	if !r.d.state().dir.MaySend(s.User, from) {
		return smtp.ErrSenderNotOwned.Textf("%s may not send as <%s>", s.User, from)
	}
	return nil
}

// checkRcpt decides about one recipient while the client can still act on the
// answer: nobody there, no room, not ours to relay.
func (r *receiver) checkRcpt(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
	st := r.d.state()
	if !st.dir.IsLocal(to.Path) {
		if !r.trusts(s) {
			return smtp.ErrRelayDenied
		}
		to.Value = st.dir.Resolve(to.Path)
		return r.roomElsewhere(ctx, s)
	}
	found, err := r.find(to.Path)
	if err != nil {
		return err
	}
	if found.None() {
		return smtp.ErrNoSuchUser
	}
	if reached(s.Envelope) >= mostTargets {
		return smtp.ErrTooManyRecipients
	}
	if err := r.roomHere(ctx, s, to, found); err != nil {
		return err
	}
	if len(found.Elsewhere) > 0 {
		if err := r.roomElsewhere(ctx, s); err != nil {
			return err
		}
	}
	to.Value = found
	return nil
}

// mostTargets is how many mailboxes and addresses elsewhere one message may
// lead to before further recipients are refused for now. An alias for a
// thousand mailboxes can be named a thousand times, each with another detail,
// and each mailbox is looked at whenever it is named.
const mostTargets = 10000

// reached is how many those are for the recipients so far.
func reached(e *smtp.Envelope) (n int) {
	for i := range e.To {
		t, _ := targetsOf(&e.To[i])
		n += len(t.Mailboxes) + len(t.Elsewhere)
	}
	return n
}

// find looks an address of this host up; also one that stands for a sender
// whose mail was forwarded.
func (r *receiver) find(to smtp.Path) (found accounts.Targets, err error) {
	if r.d.outbound != nil {
		found, err = r.d.outbound.resolve(to)
	} else {
		found = r.d.state().dir.Resolve(to)
	}
	found.Forwarded = true
	return found, err
}

// roomHere refuses a recipient whose mailboxes have no room. Of several, some will
// do where the sender can be told of the others afterwards.
func (r *receiver) roomHere(ctx context.Context, s *smtp.Session, to *smtp.Recipient, found accounts.Targets) error {
	full, refused := 0, error(nil)
	for _, mailbox := range found.Mailboxes {
		size := max(s.Envelope.Params.Size, r.d.late.size(s.Envelope, mailbox))
		if err := r.d.store.Room(ctx, mailbox, size); err != nil {
			full++
			if refused == nil {
				refused = r.d.refused.quiet(r.d.log, s, mailbox, r.refusal(err))
			}
		}
	}
	if full < len(found.Mailboxes)+len(found.Elsewhere) && r.canBounce(ctx, s.Envelope, to) {
		return nil
	}
	return refused
}

// roomElsewhere says whether a message for another host can be taken.
func (r *receiver) roomElsewhere(ctx context.Context, s *smtp.Session) error {
	if r.d.outbound == nil {
		return smtp.ErrRelayDenied.Textf("This server does not send mail to other hosts")
	}
	return r.d.refused.quiet(r.d.log, s, "", r.refusal(r.d.outbound.room(ctx, s.Envelope.Params.Size)))
}

// refusal turns an error of the store or the queue into an answer.
func (r *receiver) refusal(err error) error {
	if err == nil {
		return nil
	}
	return replyFor(err)
}

func replyFor(err error) *smtp.Reply {
	var reply *smtp.Reply
	switch {
	case errors.As(err, &reply):
		return reply
	case errors.Is(err, mailstore.ErrOverQuota):
		return smtp.ErrMailboxFull.With(err)
	case errors.Is(err, mailstore.ErrNoSpace):
		return smtp.ErrNoSpace.With(err)
	case errors.Is(err, mailstore.ErrBadName):
		return smtp.ErrNoSuchUser.With(err)
	}
	return smtp.ErrTryLater.With(err)
}

// ServeSMTP stores a message: one delivery for all local mailboxes, one queue
// entry for everybody else (two, where aliases change the sender for some). It
// returns nil when all of them are on stable storage; mailboxes that turned out
// to have no room are answered for as plan.refuse says.
func (r *receiver) ServeSMTP(ctx context.Context, e *smtp.Envelope) error {
	log := r.d.log.With("session", e.Session.ID, "id", e.ID)
	to, err := gather(e)
	if err != nil {
		return err
	}
	m, err := r.read(e)
	if err != nil {
		return err
	}
	defer m.done()
	d := &delivery{r: r, e: e, m: m, to: to}
	err = d.run(ctx)
	if err == nil {
		err = r.reportFailure(ctx, e, m.header, to.bounced)
	}
	if err != nil {
		log.Warn("message not accepted", "remote", e.Session.RemoteAddr, "from", e.From.String(), "recipients", len(e.To), "err", err)
		return err
	}
	if to.nobody() { // LMTP: each recipient has its own refusal
		log.Warn("message not accepted", "remote", e.Session.RemoteAddr, "from", e.From.String(), "recipients", len(e.To), "err", e.To[0].Result)
		return nil
	}
	log.Info("message accepted", "from", e.From.String(), "recipients", len(e.To),
		"mailboxes", len(to.mailboxes), "elsewhere", len(to.elsewhere), "full", len(to.failed), "octets", d.size,
		"user", e.Session.User, "remote", e.Session.RemoteAddr)
	r.reportSuccess(ctx, e, m.header, to)
	return nil
}
