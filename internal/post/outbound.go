package post

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/queue/sealed"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// Outbound is mail for other hosts: the queue, and the relay that empties it.
type Outbound struct {
	need  Needs
	queue *queue.Queue
	spool *sealed.Spool
	// shared is where mail waits in place of spool; nil: it waits there.
	shared *sealed.Shared
	relay  atomic.Pointer[relay.Relay]
	srs    atomic.Pointer[queue.SRS] // its Key is nil: nothing is forwarded, nor was
	cache  relay.Cache

	reports *relay.TLSReports // nil: nobody is told how TLS fared

	own     rates // of mail of the server's own
	ownRate atomic.Pointer[Rate]

	given sync.Map // ids of notifications whose message is back in its mailbox already

	stopped atomic.Pointer[error] // nil: it runs
}

// Needs are what Outbound asks of others, once.
type Needs struct {
	// Dir is the directory of the queue, which is there.
	Dir string
	// Shared, if not nil, is where mail waits in place of the directory, shared with other servers. What is in the directory is moved there.
	Shared queue.Shared
	// Disk is the file system of the queue's directory, and MinFree the octets
	// that are to be left free there.
	Disk    *durable.Disk
	MinFree int64
	// BesideMailboxes: the mailboxes are on the same file system.
	BesideMailboxes bool
	// Mailboxes is where reports go whose readers are here, and Directory who
	// that is, by the settings of the moment.
	Mailboxes Mailboxes
	Directory func() Directory
	// Common keeps what several servers know of other hosts; nil: there is no other.
	Common relay.Cache
	// Gathers is where several servers bring together what they count for reports about TLS; nil: there is no other.
	Gathers relay.Common
	// Contact is who tells other domains how TLS fared; empty: nobody does.
	Contact string
	// Reported, if not nil, hears of each report about TLS that was queued.
	Reported func()
	// Sign puts signatures on top of a message of the server's own that leaves; nil:
	// there are none.
	Sign func(message []byte) ([]byte, error)
	// Attempted and Notified count, as those of a queue.Queue.
	Attempted func(*queue.Attempt)
	Notified  func(*queue.Notification)
	// Limited, if not nil, is told of mail of the server's own that waits for its limit.
	Limited func(*Limited)
	Log     *slog.Logger
}

// OpenOutbound opens the queue.
func OpenOutbound(ctx context.Context, s *Sending, need Needs) (*Outbound, error) {
	sp, err := spool.Open(ctx, need.Dir, spool.WithDisk(need.Disk))
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	sp.Log, sp.MinFree = need.Log, need.MinFree
	domains := filepath.Join(need.Dir, "domains")
	if err := os.MkdirAll(domains, 0o700); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	o := &Outbound{need: need, spool: sealed.New(sp)}
	var in queue.Spool = o.spool
	if need.Shared != nil {
		o.shared = sealed.NewShared(need.Shared)
		in = o.shared
	}
	if o.cache, err = relay.OpenDir(ctx, domains, relay.WithDisk(need.Disk)); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	if need.Common != nil {
		o.cache = &common{own: o.cache, all: need.Common}
	}
	o.reports = o.newReports()
	o.queue = &queue.Queue{
		Spool:         in,
		Transport:     transport{o},
		Config:        s.Queue,
		Memory:        learnt{o.cache},
		Behind:        o.behind,
		Notify:        o.notify,
		Undeliverable: o.undeliverable,
		Attempted:     need.Attempted,
		Notified:      need.Notified,
		Log:           need.Log,
	}
	o.Reconfigure(s)
	return o, nil
}

// Queue is the queue, to be looked at and steered.
func (o *Outbound) Queue() *queue.Queue { return o.queue }

// TLSReports counts how TLS fares and tells the domains that ask; nil where the
// settings name nobody who tells.
func (o *Outbound) TLSReports() *relay.TLSReports { return o.reports }

// transport is the relay of the moment.
type transport struct{ o *Outbound }

// Destination implements queue.Transport.
func (t transport) Destination(r queue.Recipient, route string) string {
	return t.o.relay.Load().Destination(r, route)
}

// Deliver implements queue.Transport.
func (t transport) Deliver(ctx context.Context, d *queue.Delivery) []queue.Result {
	return t.o.relay.Load().Deliver(ctx, d)
}

// learnt keeps what the queue knows of other hosts among what the relay does.
type learnt struct{ cache relay.Cache }

// Recall implements queue.Memory.
func (l learnt) Recall(context.Context) ([]byte, error) {
	data, _ := l.cache.Get("queue", "learnt")
	return data, nil
}

// Remember implements queue.Memory.
func (l learnt) Remember(ctx context.Context, data []byte) error {
	return l.cache.Put(ctx, "queue", "learnt", data)
}

// room reports whether a message of size octets can be queued.
func (o *Outbound) room(ctx context.Context, size int64) error {
	return refuseQueue(o.queue.Room(ctx, size))
}

func refuseQueue(err error) error {
	if errors.Is(err, queue.ErrFull) {
		return smtp.ErrNoSpace.With(err)
	}
	return err
}

// entry is one entry on its way into the queue.
type entry struct {
	queue.Writer
	first string // the field on top that only this one gets
	id    string
	to    []smtp.Path
	by    domains.Address // the user who has it forwarded, if that is why it leaves
}

// begin opens the entries for those recipients of a message who are elsewhere:
// one, and others where some are led there by aliases (forward.go). What was
// opened is returned with an error as well, to be aborted.
func (o *Outbound) begin(ctx context.Context, dir Directory, e *smtp.Envelope, proven bool, hold string, to []remote, top *top) (entries []entry, err error) {
	parts, err := o.parts(dir, e, to)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		new := queue.NewEntry(e, part.to)
		new.ID = queue.NewID(time.Now())
		new.From, new.Top, new.Hold = part.from, len(part.first)+top.size(), hold
		if !proven {
			new.Class = queue.Stranger
		}
		part.mark(new)
		w, err := o.queue.Begin(ctx, new)
		if err != nil {
			return entries, refuseQueue(err)
		}
		opened := entry{Writer: w, first: part.first, id: new.ID, by: part.by}
		for i := range part.to {
			opened.to = append(opened.to, part.to[i].Path)
		}
		entries = append(entries, opened)
	}
	return entries, nil
}

// commit queues a message for all who are elsewhere, or for none of them: the client that
// is told of a failure sends it again to all.
func (o *Outbound) commit(ctx context.Context, entries []entry, top *top) error {
	writers, tops := make([]queue.Writer, len(entries)), make([][]byte, len(entries))
	for i, e := range entries {
		writers[i], tops[i] = e.Writer, top.with(e.first)
	}
	return o.queue.CommitAll(ctx, writers, tops)
}

// Healthy says what keeps mail from leaving altogether, for the status: that it
// is still taken in makes it worse. A full disk is told to those who send.
func (o *Outbound) Healthy() error {
	if stopped := o.stopped.Load(); stopped != nil {
		return fmt.Errorf("the queue stopped: %w", *stopped)
	}
	if o.need.Shared != nil {
		return nil // the store says whether its database is there
	}
	err := o.queue.Room(context.Background(), 0)
	if errors.Is(err, queue.ErrFull) && o.need.BesideMailboxes {
		return nil // the store says it
	}
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// Starving are the classes of mail that have waited long for a place in the queue.
func (o *Outbound) Starving() (classes []string) {
	if o == nil {
		return nil
	}
	for class, c := range o.queue.Counters().Classes {
		if c.Starving {
			classes = append(classes, class.String())
		}
	}
	slices.Sort(classes)
	return classes
}

// Run delivers until ctx ends. Should the queue stop before, Healthy says so.
func (o *Outbound) Run(ctx context.Context) {
	var reporting sync.WaitGroup
	defer reporting.Wait()
	if o.reports != nil {
		reporting.Go(func() {
			if err := o.reports.Run(ctx); err != nil && ctx.Err() == nil {
				o.need.Log.Error("no more reports about TLS", "err", err)
			}
		})
	}
	if o.need.Shared != nil {
		reporting.Go(func() { o.move(ctx) })
	}
	if err := o.queue.Run(ctx); err != nil {
		o.need.Log.Error("the queue stopped: mail is taken, and leaves after the next start", "err", err)
		o.stopped.Store(&err)
	}
	o.relay.Load().Close()
}

// move brings what an earlier start has left in the directory to where mail waits now. Until it is there, it waits.
func (o *Outbound) move(ctx context.Context) {
	for {
		n, err := queue.Move(ctx, o.spool, o.shared)
		if n > 0 {
			o.need.Log.Info("mail of the queue's directory waits in the database now", "entries", n)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		o.need.Log.Error("mail of the queue's directory does not get into the database now", "err", err)
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			return
		}
	}
}

// notify brings the queue's news of a message to its sender, who lives here or
// elsewhere. A bounce that no mailbox takes is the postmaster's.
func (o *Outbound) notify(ctx context.Context, n *queue.Notification) error {
	if err := o.giveBack(ctx, n); err != nil {
		return err
	}
	err := o.tell(ctx, n)
	if err == nil {
		o.given.Delete(n.ID)
	}
	return err
}

// tell sends the report, or finds who else is to have it.
func (o *Outbound) tell(ctx context.Context, n *queue.Notification) error {
	err := o.send(ctx, n)
	if n.Kind == queue.Bounce && (errors.Is(err, errNoSender) || errors.Is(err, mailstore.ErrOverQuota)) {
		o.need.Log.Warn("bounce for the postmaster, as its own recipient cannot have it", "to", n.To.String(), "err", err)
		return o.undeliverable(ctx, n)
	}
	if errors.Is(err, errNoSender) {
		return nil
	}
	return err
}

// errNoSender: the sender of a message is nobody any more.
var errNoSender = errors.New("the sender of the message is not known here")

// send brings a report to the sender of a message. When it returns nil, the
// report is on stable storage.
func (o *Outbound) send(ctx context.Context, n *queue.Notification) error {
	if n.To.IsNull() {
		return errNoSender
	}
	found, err := o.resolve(o.need.Directory(), n.To)
	switch {
	case err == nil && found.Away != nil:
		return found.Away
	case err != nil || found.None():
		return errors.Join(errNoSender, err)
	}
	if len(found.Mailboxes) > 0 {
		err := o.deliver(ctx, found.Mailboxes, n.Message)
		if err != nil && (len(found.Elsewhere) == 0 || !errors.Is(err, mailstore.ErrOverQuota)) {
			return err
		}
	}
	return o.submit(ctx, n, found.Elsewhere)
}

// submit queues a report for addresses of other hosts. None is ever made about one
// that fails.
func (o *Outbound) submit(ctx context.Context, n *queue.Notification, to []smtp.Path) error {
	if len(to) == 0 {
		return nil
	}
	message, err := o.signed(n.Message)
	if err != nil {
		return err
	}
	for _, path := range to {
		// Others have a trickle of their own, see queue.SubmitNotification.
		if n.Proven {
			if err := o.mayTell(); err != nil {
				return err
			}
		}
		onward := *n
		onward.To, onward.Message = path, message
		if err := o.queue.SubmitNotification(ctx, &onward); err != nil {
			return err
		}
	}
	return nil
}

// signed is a message of the server's own as it leaves.
func (o *Outbound) signed(message []byte) ([]byte, error) {
	if o.need.Sign == nil {
		return message, nil
	}
	return o.need.Sign(message)
}

// reportSize is the octets of a report beside the header that comes back in it.
const reportSize = 16 << 10

// reaches reports whether send would bring a report of ours to a mailbox now, or
// into the queue. size is how many octets a mailbox needs for it, "" the queue.
func (o *Outbound) reaches(ctx context.Context, dir Directory, sender smtp.Path, size func(mailbox domains.Address) int64) bool {
	found, err := o.resolve(dir, sender)
	if err != nil || found.None() || found.Away != nil {
		return false
	}
	for _, mailbox := range found.Mailboxes {
		if o.need.Mailboxes.Room(ctx, mailbox.String(), size(mailbox)) != nil {
			return false
		}
	}
	return len(found.Elsewhere) == 0 || o.queue.Room(ctx, size("")) == nil
}

// resolve finds where mail to any address goes that this host itself sends.
func (o *Outbound) resolve(dir Directory, p smtp.Path) (accounts.Targets, error) {
	p, ours, err := o.returned(p)
	if err != nil {
		return accounts.Targets{}, err
	}
	found := dir.Resolve(p)
	found.Local = found.Local || ours
	return found, nil
}

// undeliverable brings a bounce that can be told to nobody to the postmaster, who may be
// elsewhere.
func (o *Outbound) undeliverable(ctx context.Context, n *queue.Notification) error {
	found := o.need.Directory().Resolve(smtp.Path{Local: "postmaster"})
	if found.Away != nil {
		return found.Away
	}
	if len(found.Mailboxes) > 0 {
		if err := o.deliver(ctx, found.Mailboxes, n.Message); err != nil {
			return err
		}
	}
	return o.submit(ctx, n, found.Elsewhere)
}

// deliver puts a message of our own making into mailboxes: into those that have room,
// if there are any.
func (o *Outbound) deliver(ctx context.Context, mailboxes []domains.Address, message []byte) error {
	err := o.deliverAll(ctx, mailboxes, message)
	var refused *mailstore.Refused
	if !errors.As(err, &refused) {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(mailboxes), func(m domains.Address) bool { return refused.Mailboxes[m.String()] != nil })
	if len(left) == 0 || len(left) == len(mailboxes) {
		return err
	}
	o.need.Log.Warn("some mailboxes cannot have a report", "others", len(left), "err", err)
	return o.deliver(ctx, left, message)
}

func (o *Outbound) deliverAll(ctx context.Context, mailboxes []domains.Address, message []byte) error {
	return put(ctx, o.need.Mailboxes, mailboxes, message)
}

// put puts a message of our own making into mailboxes.
func put(ctx context.Context, in Mailboxes, mailboxes []domains.Address, message []byte) error {
	path, err := rfc2822.ReturnPath("")
	if err != nil {
		return err
	}
	box, err := in.Create(ctx, mailstore.Meta{Top: []byte(path.Raw())}, storeNames(mailboxes)...)
	if err != nil {
		return err
	}
	defer box.Abort()
	if _, err := box.Write(message); err != nil {
		return err
	}
	return box.Commit(ctx, []byte(path.Raw()))
}
