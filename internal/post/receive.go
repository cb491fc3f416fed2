package post

import (
	"cmp"
	"context"
	"errors"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// Receiver is one listener's way in: the answers an SMTP or LMTP server asks
// for, and the handler that puts a message where it belongs.
type Receiver struct {
	*Post
	// Submission: clients are users of this host, and their mail is completed.
	Submission bool

	anybody bool // who submits may write as anybody: root of this host
}

// trusts reports whether the client may send mail to other hosts.
func (p *Post) trusts(s *smtp.Session) bool {
	return s.User != "" || lineserver.Within(s.RemoteAddr, p.rules(s).RelayFrom)
}

// counted marks what a stranger has the disk hold before it is accepted: it is
// counted by his address, and makes room for others when there is little left.
func (p *Post) counted(ctx context.Context, s *smtp.Session) context.Context {
	if s.LMTP || p.trusts(s) {
		return ctx
	}
	return durable.WithStranger(ctx, lineserver.Block(s.RemoteAddr).String())
}

// proven reports whether a session's mail is from its sender beyond doubt: who has
// logged in or comes from a host that is trusted. Anybody else may have forged it, and
// we mail nobody who has not written to us: no news of success, a trickle of bounces
// without the message in them, and no more than a share of the queue. What else
// proves a sender belongs here.
func (p *Post) proven(s *smtp.Session) bool { return p.trusts(s) }

// CheckSender begins a transaction, and binds the sender of submitted mail to the
// account.
func (r *Receiver) CheckSender(ctx context.Context, s *smtp.Session, from smtp.Path, _ *smtp.Params) error {
	r.forget(s)
	rules := r.begin(s)
	if r.Submission && s.User != "" && !rules.Directory.MaySend(domains.Address(s.User), from) {
		if away := rules.Directory.Resolve(from).Away; away != nil {
			return r.refused.quiet(r.Log, s, "", smtp.ErrTryLater.With(away))
		}
		return smtp.ErrSenderNotOwned.Textf("%s may not send as <%s>", s.User, from)
	}
	return r.inspectSender(ctx, s, from)
}

// CheckRcpt decides about one recipient while the client can still act on the
// answer: nobody there, no room, not ours to relay, or more than its user may have.
func (r *Receiver) CheckRcpt(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
	err := r.place(ctx, s, to)
	if err == nil {
		err = r.inspectRecipient(ctx, s, to)
	}
	switch {
	case err != nil || s.LMTP || s.RemoteAddr == nil: // what programs of this host send is counted when it comes
		return err
	case r.trusts(s):
		return r.mayName(s)
	}
	return r.mayCome(s, to)
}

// place finds where mail for a recipient goes.
func (r *Receiver) place(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
	dir, ctx := r.rules(s).Directory, r.counted(ctx, s)
	found, err := r.find(dir, to.Path)
	switch {
	case err != nil:
		return err
	case !found.Local && !r.trusts(s):
		return smtp.ErrRelayDenied
	case !found.Local:
		to.Value = found
		return r.roomElsewhere(ctx, s)
	case found.Away != nil: // also where others of them are known: the message would be kept from those who are not
		return r.refused.quiet(r.Log, s, "", smtp.ErrTryLater.With(found.Away))
	case found.None():
		return smtp.ErrNoSuchUser
	}
	if err := grants(s.Envelope, to, found); err != nil {
		return err
	}
	targets, forwarded := reached(s.Envelope)
	if targets >= mostTargets {
		return smtp.ErrTooManyRecipients
	}
	if err := r.roomHere(ctx, s, to, found); err != nil {
		return err
	}
	found.Onward = r.onward(r.rules(s), found.Mailboxes)
	if forwarded > 0 && forwarded+len(found.Onward) > mostOnward && len(found.Onward) > 0 && !r.trusts(s) {
		return smtp.ErrTooManyRecipients
	}
	if len(found.Elsewhere)+len(found.Onward) > 0 {
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

// Each user who has a message forwarded is a file of the queue, open until all of it has come. mostOnward is how many those may be
// for a stranger's message before another recipient who forwards is refused for now: he comes again with the rest. Of one address no more than mostOnwardOfOne
// are forwarded for; the rest keep the message here.
const (
	mostOnward      = 20
	mostOnwardOfOne = 100
)

// reached is how many targets the recipients so far have, and how many of them are forwarded to by users.
func reached(e *smtp.Envelope) (targets, forwarded int) {
	for i := range e.To {
		t, _ := targetsOf(&e.To[i])
		targets, forwarded = targets+len(t.Mailboxes)+len(t.Elsewhere)+len(t.Onward), forwarded+len(t.Onward)
	}
	return targets, forwarded
}

// find looks an address up; also one that stands for a sender whose mail was
// forwarded.
func (r *Receiver) find(dir Directory, to smtp.Path) (accounts.Targets, error) {
	if r.Outbound != nil {
		return r.Outbound.resolve(dir, to)
	}
	return dir.Resolve(to), nil
}

// roomHere refuses a recipient whose mailboxes have no room. Of several, some will
// do where the sender can be told of the others afterwards.
func (r *Receiver) roomHere(ctx context.Context, s *smtp.Session, to *smtp.Recipient, found accounts.Targets) error {
	var full []domains.Address
	var why error // of the first
	for _, mailbox := range found.Mailboxes {
		if err := r.roomIn(ctx, s.Envelope, mailbox); err != nil {
			full = append(full, mailbox)
			why = cmp.Or(why, err)
		}
	}
	some := len(full) < len(found.Mailboxes)+len(found.Elsewhere)
	if why == nil || some && r.canBounce(ctx, s.Envelope, to, func(domains.Address) int64 { return reportSize }) {
		return nil
	}
	return r.refused.quiet(r.Log, s, full[0], r.refusal(why))
}

// roomIn reports whether a mailbox has room for the message as it was announced, and for
// one that did not fit last time. The latter may be another message of the sender's,
// and is refused for now at most: that it is too large for good is said behind DATA, or
// where it is announced.
func (r *Receiver) roomIn(ctx context.Context, e *smtp.Envelope, mailbox domains.Address) error {
	announced := e.Params.Size
	if err := r.Mailboxes.Room(ctx, mailbox.String(), announced); err != nil {
		return err
	}
	last := r.late.size(e, mailbox)
	if last <= announced {
		return nil
	}
	if err := r.Mailboxes.Room(ctx, mailbox.String(), last); err != nil {
		return forNow(replyFor(err))
	}
	return nil
}

// roomElsewhere reports whether a message for another host can be taken.
func (r *Receiver) roomElsewhere(ctx context.Context, s *smtp.Session) error {
	if r.Outbound == nil {
		return smtp.ErrRelayDenied.Textf("This server does not send mail to other hosts")
	}
	return r.refused.quiet(r.Log, s, "", r.refusal(r.Outbound.room(ctx, s.Envelope.Params.Size)))
}

// errNeverFits: to send it again would be in vain (RFC 5321 §4.2.3).
var errNeverFits = &smtp.Reply{Code: 552, Enhanced: "5.2.2", Text: "Message is larger than the mailbox may hold"}

// refusal turns an error of the store or the queue into an answer.
func (r *Receiver) refusal(err error) error {
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
	case errors.Is(err, mailstore.ErrNeverFits):
		return errNeverFits.With(err)
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
func (r *Receiver) ServeSMTP(ctx context.Context, e *smtp.Envelope) error {
	ctx = r.counted(ctx, e.Session)
	to, err := gather(e)
	if err != nil {
		return err
	}
	m, err := r.read(ctx, e)
	if err != nil {
		return err
	}
	defer m.done()
	to.stopLoops(r.rules(e.Session).Directory, m.header)
	d := &delivery{r: r, e: e, m: m, to: to}
	err = d.run(ctx)
	if err == nil && m.instead != nil {
		for i := range e.To { // nobody's mailbox has it, so none can be too full for it
			e.To[i].Result = nil
		}
		r.sent(e)
		d.tellInstead(r.Log)
		return nil
	}
	if err == nil {
		err = r.reportFailure(ctx, e, m, to.bounced)
	}
	if err != nil || to.nobody() { // nobody by LMTP: each recipient has its own refusal
		return err
	}
	r.sent(e)
	d.tell(r.Log)
	r.reportSuccess(ctx, e, m, to)
	r.answer(e, m, to)
	return nil
}
