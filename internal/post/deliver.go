package post

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// delivery writes one message once to everybody and commits.
type delivery struct {
	r    *Receiver
	e    *smtp.Envelope
	m    *message
	to   *plan
	size int64 // octets of the message as everybody gets it

	box     mailstore.Delivery // nil where no mailbox gets it
	aside   places             // where it may be put aside
	entries []entry
	out     sinks // all of these
}

// run returns nil when every copy that the plan still names is on stable storage.
//
// The mailboxes are committed before the queue entry: of the two they are more
// likely to refuse (a quota filled up meanwhile). If the second commit fails,
// the client is told so and sends again, and a copy too many in a mailbox here
// is then the price, not one in the world. Neither order can lose the message.
func (d *delivery) run(ctx context.Context) error {
	defer d.out.abort()
	if err := d.begin(ctx); err != nil {
		return d.r.refusal(err)
	}
	if d.to.nobody() {
		return nil
	}
	buffer := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(buffer)
	var err error
	d.size, err = d.m.writeTo(ctx, &d.out, buffer[:])
	if failed := cmp.Or(d.out.failed, d.m.looks.failed); failed != nil {
		return d.r.refusal(failed)
	}
	d.size += int64(d.m.top.size())
	if err != nil {
		return err // the session knows what is wrong with its own data
	}
	return d.r.refusal(d.commit(ctx))
}

// begin opens the delivery into the mailboxes that have room for what was
// announced, and the queue entries.
func (d *delivery) begin(ctx context.Context) error {
	top := d.m.top
	meta := mailstore.Meta{ID: d.e.ID, Top: top.local(), Size: d.e.Params.Size, Exact: d.e.Params.Body == smtp.BodyBinaryMIME}
	d.aside = d.places(ctx)
	for d.box == nil && len(d.aside.and(d.to.mailboxes)) > 0 {
		box, err := d.r.Mailboxes.Create(ctx, meta, storeNames(d.aside.and(d.to.mailboxes))...)
		if err != nil {
			if d.aside.without(err) {
				continue
			}
			if err := d.refuse(ctx, err); err != nil {
				return err
			}
			continue
		}
		d.box = box
		d.out.add(box)
	}
	if len(d.to.elsewhere) == 0 {
		return nil
	}
	var err error
	d.entries, err = d.r.Outbound.begin(ctx, d.r.rules(d.e.Session).Directory, d.e, d.r.proven(d.e.Session), d.r.holdFor(d.e.Session), d.to.elsewhere, top)
	for _, entry := range d.entries {
		d.out.add(entry)
	}
	d.to.queued = true
	return err
}

// commit puts the copies on stable storage, those for mailboxes first.
func (d *delivery) commit(ctx context.Context) error {
	if d.m.instead != nil {
		return d.commitInstead(ctx)
	}
	d.release()
	if d.box != nil {
		d.settle()
	}
	top := d.m.top
	text := top.local()
	if err := d.roomToGiveBack(ctx); err != nil {
		if err := d.leaveOut(ctx, err); err != nil {
			return err
		}
	}
	for len(d.to.mailboxes) > 0 {
		err := d.box.Commit(ctx, text)
		if err == nil {
			break
		}
		if err := d.leaveOut(ctx, err); err != nil {
			return err
		}
	}
	if d.to.nobody() {
		return nil
	}
	// Where the mailbox does not have it, its sender hears of that and sends it again.
	d.entries = slices.DeleteFunc(d.entries, func(e entry) bool { return d.to.failed[e.by] != nil })
	if len(d.entries) == 0 {
		return nil
	}
	return d.r.Outbound.commit(ctx, d.entries, top)
}

// leaveOut goes on without mailboxes that cannot take the message; see refuse.
func (d *delivery) leaveOut(ctx context.Context, err error) error {
	before := d.to.mailboxes
	if err := d.refuse(ctx, err); err != nil {
		return err
	}
	if d.box != nil {
		d.box.Exclude(storeNames(d.to.dropped(before))...)
	}
	return nil
}

// refuse decides what to do about mailboxes that cannot take the message. It
// returns the error that is the answer for all, or nil: the plan has changed, and
// the delivery goes on.
func (d *delivery) refuse(ctx context.Context, err error) error {
	var refused *mailstore.Refused
	if !errors.As(err, &refused) {
		return err
	}
	if d.to.instead != nil { // the place for it is full by now: the next time it is delivered, marked (tooSmall)
		err = forNow(replyFor(err))
	} else {
		err = d.to.refuse(refused, func(rcpt *smtp.Recipient) bool { return d.r.canBounce(ctx, d.e, rcpt, d.report) })
	}
	var reply *smtp.Reply
	if errors.As(err, &reply) && reply.Temporary() && d.size > 0 { // it will come again
		for mailbox := range refused.Mailboxes {
			d.r.late.note(d.e, domains.Address(mailbox), d.size+d.m.top.localSize())
		}
	}
	return err
}

// report is how many octets a report about the message takes of a mailbox ("": of the
// queue), with the message itself where the sender gets it there as well: that is
// stored first, and a report that has no room then would have the client send again
// what the others have already.
func (d *delivery) report(mailbox domains.Address) int64 {
	size := reportSize + int64(d.m.header.Size()+len(d.m.top.completed))
	if slices.Contains(d.to.mailboxes, mailbox) {
		size += max(d.size, d.e.Params.Size) + d.m.top.localSize()
	}
	return size
}

// storeNames are what the store calls mailboxes: their accounts' addresses.
func storeNames(mailboxes []domains.Address) []string {
	all := make([]string, len(mailboxes))
	for i, m := range mailboxes {
		all[i] = m.String()
	}
	return all
}

// copyOf is one copy of a message on its way to stable storage.
type copyOf interface {
	io.Writer
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

// abort throws away what was not committed.
func (s *sinks) abort() {
	for _, c := range s.copies {
		c.Abort()
	}
}
