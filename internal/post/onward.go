package post

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Users may have their mail forwarded to one address of another host (internal/preferences). It is one more entry of the queue, on stable
// storage before the 250 as all others. Its sender is the user: what the other host has to say of it, he hears, and never a stranger whose
// mail it was. Nothing that is marked as junk is forwarded, as that host would hold it against this one: it stays in the mailbox, also where
// no copy is to be kept. So each mailbox gets its copy, and gives it back at the end where that is known to be right.

// Leads is where mail for a path would go now by these rules.
func (p *Post) Leads(rules *Rules, path smtp.Path) accounts.Targets {
	t := rules.Directory.Resolve(path)
	t.Onward = p.onward(rules, t.Mailboxes)
	return t
}

// onward is where mail for these mailboxes goes on by the will of their users. What cannot be found out keeps the mail here.
func (p *Post) onward(rules *Rules, mailboxes []domains.Address) (all []accounts.Onward) {
	if p.Users == nil || p.Outbound == nil || !rules.Forward {
		return nil
	}
	for _, mailbox := range mailboxes {
		is, err := p.Users.Lately(mailbox)
		if err != nil {
			p.Log.Warn("mail is not forwarded", "user", mailbox.String(), "err", err)
			continue
		}
		if is == nil || is.Forward == nil {
			continue
		}
		path, err := smtp.ParseMailbox(is.Forward.To, smtp.PathUTF8)
		if err != nil || rules.Directory.IsLocal(path) { // its domain has come here since
			p.Log.Warn("mail is not forwarded", "user", mailbox.String(), "to", is.Forward.To, "err", err)
			continue
		}
		if len(all) == mostOnwardOfOne {
			p.Log.Warn("mail is not forwarded", "user", mailbox.String(), "to", is.Forward.To, "err", errManyOnward)
			break
		}
		path.Domain = path.DomainName().String()
		all = append(all, accounts.Onward{Account: mailbox, To: path, Keep: is.Forward.Keep})
	}
	return all
}

// errManyOnward: those behind him in the list forward nothing of this either.
var errManyOnward = fmt.Errorf("of an address that leads to many users, the first %d have mail forwarded", mostOnwardOfOne)

// forward adds to the plan where users have their mail forwarded to, as far as their mailboxes get it.
func (p *plan) forward(all []accounts.Onward) {
	if p.settled {
		return
	}
	for _, on := range all {
		if p.looped[on.Account] || p.failed[on.Account] != nil {
			continue
		}
		if !on.Keep {
			if p.released == nil {
				p.released = make(map[domains.Address]bool)
			}
			p.released[on.Account] = true
		}
		if !p.queued {
			// What the sender wants to hear of he hears of the mailbox; the user hears of failures alone.
			rcpt := smtp.Recipient{Path: on.To, Params: smtp.RcptParams{Notify: smtp.NotifyFailure}}
			p.add(remote{path: on.To, rcpt: rcpt, by: on.Account, keep: on.Keep})
		}
	}
}

// stopLoops keeps in its mailbox what comes back to it after it was forwarded: Delivered-To says so.
func (p *plan) stopLoops(dir Directory, header *rfc2822.Section) {
	for i := range p.e.To {
		if t, _ := targetsOf(&p.e.To[i]); len(t.Onward) > 0 {
			p.looped = deliveredBy(dir, header)
			p.unite()
			return
		}
	}
}

// release gives back the copies that nobody wants here, or has nothing forwarded that is junk.
func (d *delivery) release() {
	d.to.settled = true
	if d.m.junk {
		d.to.released = nil
		forwarded := func(r remote) bool { return r.by != "" }
		d.to.elsewhere = slices.DeleteFunc(d.to.elsewhere, forwarded)
		d.entries = slices.DeleteFunc(d.entries, func(e entry) bool { return e.by != "" }) // out aborts them
		return
	}
	if len(d.to.released) == 0 || d.box == nil {
		return
	}
	before := d.to.mailboxes
	d.to.mailboxes = slices.DeleteFunc(slices.Clone(before), func(m domains.Address) bool { return d.to.released[m] })
	if len(d.to.mailboxes) > 0 {
		d.box.Exclude(storeNames(d.to.dropped(before))...)
	}
}

// roomToGiveBack refuses mailboxes that keep no copy, and would have no room for it if it came back: full is full, also where the client
// announced no size, and giveBack must not be left with what never fits.
func (d *delivery) roomToGiveBack(ctx context.Context) error {
	full := make(map[string]error)
	for mailbox := range d.to.released {
		if d.to.failed[mailbox] != nil {
			continue
		}
		if err := d.r.Mailboxes.Room(ctx, mailbox.String(), d.size+d.m.top.localSize()); errors.Is(err, mailstore.ErrOverQuota) {
			full[mailbox.String()] = err
		}
	}
	if len(full) == 0 {
		return nil
	}
	return &mailstore.Refused{Mailboxes: full}
}

// forwardedBy is the sender of what a user has forwarded, and the field that stands on top of it: should it come back, it is known.
func forwardedBy(user domains.Address, utf8 bool) (from smtp.Path, first string, ok bool) {
	from, err := smtp.ParseMailbox(user.String(), smtp.PathUTF8)
	if err != nil {
		return from, "", false
	}
	return from, deliveredTo(from, utf8), true
}

// What the envelope of such an entry is called (RFC 3461 ENVID), by which it is known again when it fails.
const (
	forwardedCopy = "forwarded-copy"
	forwardedOnly = "forwarded-only" // there is no other copy
)

// mark makes of an entry one that a user has forwarded.
func (p *part) mark(e *queue.Entry) {
	if p.by == "" {
		return
	}
	// Its sender is beyond doubt; it still takes of the share of those that it comes from.
	e.Proven = true
	e.Params.EnvID, e.Params.Ret = forwardedCopy, smtp.RetHeaders
	if !p.keep {
		e.Params.EnvID = forwardedOnly
	}
	e.Params.SMTPUTF8 = e.Params.SMTPUTF8 || !p.from.IsASCII()
	e.Params.By, e.Params.HoldUntil = nil, time.Time{} // the sender's wishes are for the mailbox
}

// giveBack puts what a user has forwarded without keeping a copy into his mailbox, when it is known not to arrive: once, though the report
// that follows it may have to be tried again.
func (o *Outbound) giveBack(ctx context.Context, n *queue.Notification) error {
	// Whoever sends may call his message so as well (ENVID); Proven is what mark alone makes an entry.
	if n.Kind != queue.Bounce || n.Entry == nil || !n.Entry.Proven || n.Entry.Params.EnvID != forwardedOnly {
		return nil
	}
	if _, done := o.given.Load(n.ID); done {
		return nil
	}
	found := o.need.Directory().Resolve(n.To)
	if found.Away != nil {
		return found.Away
	}
	if len(found.Mailboxes) != 1 || found.Expands() {
		return nil // the account is gone: the postmaster hears of it
	}
	body, err := o.queue.Spool.Open(ctx, n.Entry.ID)
	if err != nil {
		return err
	}
	defer body.Close()
	box, err := o.need.Mailboxes.Create(ctx, mailstore.Meta{}, storeNames(found.Mailboxes)...)
	if err != nil {
		return err
	}
	defer box.Abort()
	if _, err := io.Copy(box, body); err != nil {
		return err
	}
	if err := box.Commit(ctx, nil); err != nil {
		return err
	}
	o.given.Store(n.ID, true)
	return nil
}
