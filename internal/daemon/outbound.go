package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/postrider-mail/postrider/conf"
	"github.com/postrider-mail/postrider/internal/durable"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// outbound is mail for other hosts: the queue, and the relay that empties it.
type outbound struct {
	d     *Daemon
	queue *queue.Queue
	relay atomic.Pointer[relay.Relay]
	srs   atomic.Pointer[queue.SRS] // its Key is nil: nothing is forwarded, nor was
	cache relay.Cache

	besideStore bool // the queue is on the file system of the mailboxes

	reports *relay.TLSReports // nil: nobody is told how TLS fared

	stopped atomic.Pointer[error] // nil: it runs
}

// openOutbound opens the queue, unless the settings say that no mail leaves.
// It shares the store's committer where both are on one file system, so that
// they share its syncs.
func (d *Daemon) openOutbound(s *conf.Settings) error {
	if !s.Queue.Deliver {
		return nil
	}
	if err := os.MkdirAll(s.QueueDir, 0o700); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	committer, err := d.queueCommitter(s)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	ctx := context.Background()
	sp, err := spool.Open(ctx, s.QueueDir, committer)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	sp.Log, sp.MinFree = d.log, keepFree(s, s.QueueDir)
	domains := filepath.Join(s.QueueDir, "domains")
	if err := os.MkdirAll(domains, 0o700); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	cache, err := relay.OpenDir(ctx, domains, committer)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	o := &outbound{d: d, cache: cache, besideStore: d.storeCommitter() == committer}
	o.reports = o.newReports(s)
	if err := o.reconfigure(s); err != nil {
		return err
	}
	o.queue = o.newQueue(s, sp)
	d.outbound = o
	store := d.healthy
	d.healthy = func() error { return errors.Join(store(), o.healthy()) }
	return nil
}

// storeCommitter is what makes the mailboxes durable; nil if that is the store's secret.
func (d *Daemon) storeCommitter() *durable.Committer {
	if shared, ok := d.store.(interface{ Committer() *durable.Committer }); ok {
		return shared.Committer()
	}
	return nil
}

// queueCommitter is the store's own if it reaches the queue's directory.
func (d *Daemon) queueCommitter(s *conf.Settings) (*durable.Committer, error) {
	if c := d.storeCommitter(); c != nil && c.FS().Covers(s.QueueDir) {
		return c, nil
	}
	disk, err := durable.OpenOS(s.QueueDir)
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, disk)
	return durable.NewCommitter(disk), nil
}

// transport is the relay of the moment.
type transport struct{ o *outbound }

// Destination implements queue.Transport.
func (t transport) Destination(r queue.Recipient, route string) string {
	return t.o.relay.Load().Destination(r, route)
}

// Deliver implements queue.Transport.
func (t transport) Deliver(ctx context.Context, d *queue.Delivery) []queue.Result {
	return t.o.relay.Load().Deliver(ctx, d)
}

// room says whether a message of size octets can be queued.
func (o *outbound) room(ctx context.Context, size int64) error {
	return refuseQueue(o.queue.Room(ctx, size))
}

func refuseQueue(err error) error {
	if errors.Is(err, queue.ErrFull) {
		return smtp.ErrNoSpace.With(err)
	}
	return err
}

// begin opens the entries for those recipients of a message who are elsewhere:
// one, and others where some are led there by aliases (forward.go). What was
// opened is returned with an error as well, to be aborted.
func (o *outbound) begin(ctx context.Context, e *smtp.Envelope, to []remote) (copies []copyOf, err error) {
	parts, err := o.parts(e, to)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		entry := queue.NewEntry(e, part.to)
		entry.From = part.from.String()
		w, err := o.queue.Begin(ctx, entry)
		if err != nil {
			return copies, refuseQueue(err)
		}
		copies = append(copies, w)
		if _, err := io.WriteString(w, part.top); err != nil {
			return copies, refuseQueue(err)
		}
	}
	return copies, nil
}

// healthy says what keeps mail from leaving altogether, for the status: that it
// is still taken in makes it worse.
func (o *outbound) healthy() error {
	if stopped := o.stopped.Load(); stopped != nil {
		return fmt.Errorf("the queue stopped: %w", *stopped)
	}
	err := o.queue.Room(context.Background(), 0)
	if errors.Is(err, queue.ErrFull) && o.besideStore {
		return nil // the store says it
	}
	if err != nil {
		return fmt.Errorf("queue_dir %s: %w", o.d.state().settings.QueueDir, err)
	}
	return nil
}

func (o *outbound) run(ctx context.Context) {
	if o.reports != nil {
		o.d.serving.Go(func() {
			if err := o.reports.Run(ctx); err != nil && ctx.Err() == nil {
				o.d.log.Error("no more reports about TLS", "err", err)
			}
		})
	}
	if err := o.queue.Run(ctx); err != nil {
		o.d.log.Error("the queue stopped: mail is taken, and leaves after the next start", "err", err)
		o.stopped.Store(&err)
	}
	o.relay.Load().Close()
}

// notify brings the queue's news of a message to its sender, who lives here or
// elsewhere. A bounce that no mailbox takes is the postmaster's.
func (o *outbound) notify(ctx context.Context, n *queue.Notification) error {
	err := o.tell(ctx, n)
	if n.Kind == queue.Bounce && (errors.Is(err, errNobody) || errors.Is(err, mailstore.ErrOverQuota)) {
		o.d.log.Warn("bounce for the postmaster, as its own recipient cannot have it", "to", n.To, "err", err)
		return o.undeliverable(ctx, n)
	}
	if errors.Is(err, errNobody) {
		return nil
	}
	return err
}

// errNobody: the sender of a message is nobody any more.
var errNobody = errors.New("the sender of the message is not known here")

// tell brings a report to the sender of a message. When it returns nil, the
// report is on stable storage.
func (o *outbound) tell(ctx context.Context, n *queue.Notification) error {
	sender, err := smtp.ParsePath("<"+n.To+">", smtp.PathUTF8)
	if err != nil {
		return errors.Join(errNobody, err)
	}
	found, err := o.resolve(sender)
	if err != nil || found.none() {
		return errors.Join(errNobody, err)
	}
	if len(found.mailboxes) > 0 {
		if err := o.d.deliverReport(ctx, found.mailboxes, n.Message); err != nil {
			return err
		}
	}
	for _, address := range found.elsewhere {
		onward := *n
		onward.To = address
		if err := o.queue.SubmitNotification(ctx, &onward); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds where mail to any address goes that this host itself sends.
func (o *outbound) resolve(p smtp.Path) (targets, error) {
	p, _, err := o.returned(p)
	if err != nil {
		return targets{}, err
	}
	return o.d.state().dir.resolve(p), nil
}

// undeliverable keeps a bounce that can be told to nobody for the postmaster.
func (o *outbound) undeliverable(ctx context.Context, n *queue.Notification) error {
	dir := o.d.state().dir
	found := dir.lookup("postmaster@" + dir.home)
	if len(found.mailboxes) == 0 {
		return nil
	}
	return o.d.deliverReport(ctx, found.mailboxes, n.Message)
}

// deliverReport puts a message of our own making into mailboxes.
func (d *Daemon) deliverReport(ctx context.Context, mailboxes []string, message []byte) error {
	path, err := rfc2822.ReturnPath("")
	if err != nil {
		return err
	}
	box, err := d.store.Create(ctx, mailstore.Meta{}, slices.Clone(mailboxes)...)
	if err != nil {
		return err
	}
	defer box.Abort()
	if _, err := io.WriteString(box, path.Raw()); err != nil {
		return err
	}
	if _, err := box.Write(message); err != nil {
		return err
	}
	return box.Commit(ctx)
}
