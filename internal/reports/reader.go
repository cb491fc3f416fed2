package reports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/rfc2822"
)

// Mailboxes is where reports wait to be read. A mailstore.Store is one.
type Mailboxes interface {
	Open(ctx context.Context, mailbox string) (mailstore.Maildrop, error)
}

// Reader reads the mail of some mailboxes, keeps the reports in it, and removes it. What
// it cannot read stays for a while. A crash between keeping and removing has a message read
// again, which changes nothing.
type Reader struct {
	Mailboxes Mailboxes
	Store     *Store
	// Names are the mailboxes of the moment, and Age is how long reports are kept.
	Names func() []string
	Age   func() time.Duration
	// Trust says whether a message is from the domain of its sender, by the fields on
	// top of it that this host has put there; nil: nobody knows. sender is the one
	// address in From; it is empty where there is none, or several.
	Trust func(top *rfc2822.Section, sender string) Trust
	// Bounced is told of bounces, and reports whether that was one of a report of
	// ours; nil: none are sent.
	Bounced func(ctx context.Context, r *rfc2822.Report) bool
	// Kept, if not nil, is told of each report that was read; fresh: it was not known before. It must
	// not block.
	Kept func(r *Report, fresh bool)
	// Log hears what was read; slog.Default where nil.
	Log *slog.Logger
}

// The bounds of mail that could not be read, for each mailbox: the oldest goes.
const (
	maxMails      = 100
	maxMailOctets = 50 << 20
)

// pruneAfter is how many reports are kept before it is looked whether that makes too many: a
// look into the mailboxes may find a hundred thousand of them.
const pruneAfter = 200

// every is the time between two looks into the mailboxes.
const every = time.Minute

// Run reads what comes until ctx ends.
func (r *Reader) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		r.Read(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Read reads what is there now. What goes wrong is in the log, and is tried again
// next time.
func (r *Reader) Read(ctx context.Context) {
	before := time.Now().Add(-r.Age())
	for _, name := range r.Names() {
		err := r.readMailbox(ctx, name, before)
		if err != nil && !errors.Is(err, mailstore.ErrLocked) && ctx.Err() == nil {
			r.log().Error("reports cannot be read", "mailbox", name, "err", err)
		}
	}
	if err := r.Store.Prune(ctx, before); err != nil && ctx.Err() == nil {
		r.log().Error("old reports stay", "err", err)
	}
}

func (r *Reader) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.Default()
}

// pass is one look into one mailbox.
type pass struct {
	*Reader
	name string
	box  mailstore.Maildrop

	before time.Time // older reports go

	fresh, again, bad int
	unpruned          int   // kept since it was looked whether there are too many
	done              []int // messages to be removed
	stay              []int // those that cannot be read
}

func (r *Reader) readMailbox(ctx context.Context, name string, before time.Time) error {
	box, err := r.Mailboxes.Open(ctx, name)
	if errors.Is(err, mailstore.ErrNoMailbox) {
		return nil
	}
	if err != nil {
		return err
	}
	defer box.Close()
	p := &pass{Reader: r, name: name, box: box, before: before}
	var errs []error
	for i := range box.Len() {
		if ctx.Err() != nil {
			break
		}
		if _, known := r.Store.unreadable(p.mail(i)); known {
			p.stay = append(p.stay, i)
			continue
		}
		begin := time.Now()
		if err := p.readMessage(ctx, i); err != nil && !errors.Is(err, mailstore.ErrGone) {
			errs = append(errs, fmt.Errorf("message %s: %w", box.UID(i), err))
		}
		pause(ctx, time.Since(begin))
	}
	p.discard(before)
	if p.fresh+p.again+p.bad > 0 {
		r.log().Info("reports read", "mailbox", name, "new", p.fresh, "again", p.again, "unreadable", p.bad)
	}
	if len(p.done) > 0 {
		errs = append(errs, box.Remove(context.WithoutCancel(ctx), p.done))
	}
	return errors.Join(errs...)
}

// pause leaves the processor to others for as long as a message took: whoever sends us
// much to unpack does not get more than half of one.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// mail names a message among all that come here.
func (p *pass) mail(i int) string { return p.name + "/" + p.box.UID(i) }

// readMessage keeps what stands in a message. On an error it is as if it had not been
// read.
func (p *pass) readMessage(ctx context.Context, i int) error {
	m, err := readMessage(func() (io.ReadCloser, error) { return p.box.Open(ctx, i) })
	if err != nil {
		return err
	}
	if m.bounced != nil && p.Bounced != nil && p.Bounced(ctx, m.bounced) {
		p.done = append(p.done, i)
		return nil
	}
	if m.bounced != nil {
		m.err = errors.New("the news of a message that is none of our reports")
	}
	trust := Unchecked
	if p.Trust != nil {
		trust = p.Trust(&m.header, m.sender)
	}
	if m.err != nil {
		m.reports = append(m.reports, &Report{Kind: Unreadable, Reason: reason(m.err), Mail: p.mail(i)})
	}
	for _, report := range m.reports {
		report.Received, report.Sender, report.Trust = time.Now().UTC().Truncate(time.Second), m.sender, trust
		fresh, err := p.Store.Keep(ctx, report)
		switch {
		case err != nil:
			return err
		case report.Kind == Unreadable:
			p.bad++
		case fresh:
			p.fresh++
		default:
			p.again++
		}
		if p.Kept != nil {
			p.Kept(report, fresh)
		}
		if err := p.pruneInTime(ctx); err != nil {
			return err
		}
	}
	if m.err == nil {
		p.done = append(p.done, i)
	} else {
		p.stay = append(p.stay, i)
	}
	return nil
}

// pruneInTime keeps the reports on disk within their bounds while more of them are read.
func (p *pass) pruneInTime(ctx context.Context) error {
	if p.unpruned++; p.unpruned < pruneAfter {
		return nil
	}
	p.unpruned = 0
	return p.Store.Prune(ctx, p.before)
}

// reason is an error as one line.
func reason(err error) string { return clean(err.Error()) }

// discard has mail that cannot be read removed, the oldest first, where it is too much,
// or has been there as long as its report is kept.
func (p *pass) discard(before time.Time) {
	octets := int64(0)
	for n := range p.stay { // from the newest on
		i := p.stay[len(p.stay)-1-n]
		octets += p.box.Size(i)
		since, _ := p.Store.unreadable(p.mail(i))
		if n >= maxMails || octets > maxMailOctets || since.Before(before) {
			p.done = append(p.done, i)
		}
	}
}
