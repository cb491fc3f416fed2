package daemon

import (
	"context"
	"errors"
	"io"

	"github.com/postrider-mail/postrider/conf"
	"github.com/postrider-mail/postrider/internal/durable"
	"github.com/postrider-mail/postrider/internal/netserve"
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

// counted marks what a stranger has the disk hold before it is accepted: it is
// counted by his address, and makes room for others when there is little left.
func (r *receiver) counted(ctx context.Context, s *smtp.Session) context.Context {
	if r.trusts(s) || r.protocol == conf.ProtocolLMTP {
		return ctx
	}
	return durable.WithStranger(ctx, netserve.Block(s.RemoteAddr).String())
}

// checkSender binds the sender of submitted mail to the account.
func (r *receiver) checkSender(_ context.Context, s *smtp.Session, from smtp.Path, _ *smtp.Params) error {
	if r.protocol != conf.ProtocolSubmission || s.User == "" {
		return nil
	}
	if !r.d.state().dir.maySend(s.User, from) {
		return smtp.ErrSenderNotOwned.Textf("%s may not send as <%s>", s.User, from)
	}
	return nil
}

// checkRcpt decides about one recipient while the client can still act on the
// answer: nobody there, no room, not ours to relay.
func (r *receiver) checkRcpt(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
	st, ctx := r.d.state(), r.counted(ctx, s)
	if !st.dir.isLocal(to.Path) {
		if !r.trusts(s) {
			return smtp.ErrRelayDenied
		}
		to.Value = st.dir.resolve(to.Path)
		return r.roomElsewhere(ctx, s)
	}
	found, err := r.find(to.Path)
	if err != nil {
		return err
	}
	if found.none() {
		return smtp.ErrNoSuchUser
	}
	if reached(s.Envelope) >= mostTargets {
		return smtp.ErrTooManyRecipients
	}
	for _, mailbox := range found.mailboxes {
		if err := r.d.store.Room(ctx, mailbox, s.Envelope.Params.Size); err != nil {
			return r.d.refused.quiet(r.d.log, s, mailbox, r.refusal(err))
		}
	}
	if len(found.elsewhere) > 0 {
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
		t, _ := e.To[i].Value.(targets)
		n += len(t.mailboxes) + len(t.elsewhere)
	}
	return n
}

// find looks an address of this host up; also one that stands for a sender
// whose mail was forwarded.
func (r *receiver) find(to smtp.Path) (found targets, err error) {
	if r.d.outbound != nil {
		found, err = r.d.outbound.resolve(to)
	} else {
		found = r.d.state().dir.resolve(to)
	}
	found.forwarded = true
	return found, err
}

// roomElsewhere says whether a message for another host can be taken.
func (r *receiver) roomElsewhere(ctx context.Context, s *smtp.Session) error {
	if r.d.outbound == nil {
		return smtp.ErrRelayDenied.Textf("This server does not send mail to other hosts")
	}
	return r.d.refused.quiet(r.d.log, s, "", r.refusal(r.d.outbound.room(ctx, s.Envelope.Params.Size)))
}

// errNeverFits: to send it again would be in vain (RFC 5321 §4.2.3).
var errNeverFits = &smtp.Reply{Code: 552, Enhanced: "5.2.2", Text: "Message is larger than the mailbox may hold"}

// refusal turns an error of the store or the queue into an answer.
func (r *receiver) refusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mailstore.ErrNeverFits):
		return errNeverFits.With(err)
	case errors.Is(err, mailstore.ErrOverQuota):
		return smtp.ErrMailboxFull.With(err)
	case errors.Is(err, mailstore.ErrNoSpace):
		return smtp.ErrNoSpace.With(err)
	case errors.Is(err, mailstore.ErrBadName):
		return smtp.ErrNoSuchUser.With(err)
	}
	var reply *smtp.Reply
	if errors.As(err, &reply) {
		return reply
	}
	return smtp.ErrTryLater.With(err)
}

// ServeSMTP stores a message: one delivery for all local mailboxes, one queue
// entry for everybody else (two, where aliases change the sender for some). It
// returns nil when all of them are on stable storage.
func (r *receiver) ServeSMTP(ctx context.Context, e *smtp.Envelope) error {
	ctx = r.counted(ctx, e.Session)
	to := gather(e)
	m, err := r.read(e)
	if err != nil {
		return err
	}
	defer m.done()
	size, err := r.deliver(ctx, e, m, to)
	log := r.d.log.With("session", e.Session.ID, "id", e.ID)
	if err != nil {
		log.Warn("message not accepted", "remote", e.RemoteAddr, "from", e.From.String(), "recipients", len(e.To), "err", err)
		return err
	}
	log.Info("message accepted", "from", e.From.String(), "recipients", len(e.To),
		"mailboxes", len(to.mailboxes), "elsewhere", len(to.elsewhere), "octets", size,
		"user", e.User, "remote", e.RemoteAddr)
	r.reportSuccess(ctx, e, m.header)
	return nil
}

// gather unites what checkRcpt found for each recipient: two addresses that
// lead to one mailbox are one copy.
func gather(e *smtp.Envelope) (to union) {
	have := make(map[string]bool)
	for i := range e.To {
		t, _ := e.To[i].Value.(targets)
		for _, mailbox := range t.mailboxes {
			if !have[mailbox] {
				have[mailbox] = true
				to.mailboxes = append(to.mailboxes, mailbox)
			}
		}
		for _, address := range t.elsewhere {
			to.add(remote{address, onward(e.To[i], t), t.forwarded})
		}
	}
	return to
}

// union is where the whole message goes.
type union struct {
	mailboxes []string
	elsewhere []remote
	at        map[string]int // where in elsewhere an address is
}

// remote is one address of another host, the recipient it came from, and
// whether an alias led there.
type remote struct {
	address   string
	rcpt      smtp.Recipient
	forwarded bool
}

// add takes each address once, with the client's own wish for it rather than an
// alias's.
func (u *union) add(r remote) {
	if i, ok := u.at[r.address]; ok {
		if u.elsewhere[i].forwarded && !r.forwarded {
			u.elsewhere[i] = r
		}
		return
	}
	if u.at == nil {
		u.at = make(map[string]int)
	}
	u.at[r.address] = len(u.elsewhere)
	u.elsewhere = append(u.elsewhere, r)
}

// copyBuffer is how much of a message is in memory at a time, in octets.
const copyBuffer = 32 << 10

// deliver writes the message once to everybody and commits.
//
// The mailboxes are committed before the queue entry: of the two they are more
// likely to refuse (a quota filled up meanwhile). If the second commit fails,
// the client is told so and sends again, and a copy too many in a mailbox here
// is then the price, not one in the world. Neither order can lose the message.
func (r *receiver) deliver(ctx context.Context, e *smtp.Envelope, m *message, to union) (int64, error) {
	var out sinks
	defer out.abort()
	if len(to.mailboxes) > 0 {
		meta := mailstore.Meta{ID: e.ID, Size: e.Params.Size, Exact: e.Params.Body == "BINARYMIME"}
		box, err := r.d.store.Create(ctx, meta, to.mailboxes...)
		if err != nil {
			return 0, r.refusal(err)
		}
		out.add(box)
		if _, err := box.Write(m.returnPath); err != nil {
			return 0, r.refusal(err)
		}
	}
	if len(to.elsewhere) > 0 {
		entries, err := r.d.outbound.begin(ctx, e, to.elsewhere)
		for _, entry := range entries {
			out.add(entry)
		}
		if err != nil {
			return 0, r.refusal(err)
		}
	}
	buffer := r.d.buffers.Get().(*[copyBuffer]byte)
	defer r.d.buffers.Put(buffer)
	size, err := m.writeTo(&out, buffer[:])
	if out.failed != nil {
		return size, r.refusal(out.failed)
	}
	if err != nil {
		return size, err // the session knows what is wrong with its own data
	}
	return size, r.refusal(out.commit(ctx))
}

// copyOf is one copy of a message on its way to stable storage.
type copyOf interface {
	io.Writer
	Commit(ctx context.Context) error
	Abort() error
}

// sinks writes to every copy. What goes wrong in a sink is kept apart from
// what goes wrong in reading the message.
type sinks struct {
	copies []copyOf
	failed error
}

func (s *sinks) add(c copyOf) { s.copies = append(s.copies, c) }

func (s *sinks) Write(p []byte) (int, error) {
	for _, c := range s.copies {
		if _, err := c.Write(p); err != nil {
			s.failed = err
			return 0, err
		}
	}
	return len(p), nil
}

func (s *sinks) commit(ctx context.Context) error {
	for _, c := range s.copies {
		if err := c.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// abort throws away what was not committed.
func (s *sinks) abort() {
	for _, c := range s.copies {
		c.Abort()
	}
}
