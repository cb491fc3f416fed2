package post

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/postrider-mail/postrider/internal/quarantine"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// What is done with a message is known when all of it has passed, and its mailboxes before. So a message of a stranger goes
// to the places where it might be put aside as well, which is free, and one of the two is left out at the end. What an alias has
// sent on to other hosts is only marked: they have their own places.

// places are where a message may be put aside, or go in place of its recipients (Diverter).
type places struct {
	of     map[domains.Address]domains.Address // by the mailbox it is for
	all    []domains.Address                   // that are no mailbox it is for
	shared bool
}

// mostNamed is how many octets of names stand on top of a message in a place that several share.
const mostNamed = 32 << 10

// places finds them.
func (d *delivery) places(ctx context.Context) (p places) {
	for _, place := range d.m.looks.places() {
		if !slices.Contains(d.to.mailboxes, place) && !slices.Contains(p.all, place) {
			p.all = append(p.all, place)
		}
	}
	rules := d.r.rules(d.e.Session)
	if rules.Aside == nil || len(d.m.looks.all) == 0 || d.r.trusts(d.e.Session) || d.e.Session.LMTP {
		return p
	}
	rest := p.all
	named := 0
	p.of = make(map[domains.Address]domains.Address)
	for _, mailbox := range d.to.mailboxes {
		place, shared := rules.Aside(mailbox)
		if place == "" || d.tooSmall(ctx, place) {
			continue
		}
		if named += len(mailbox) + len(", "); shared && named > mostNamed {
			return places{all: rest} // whose it is could not be read again (quarantine.Places): it is delivered, marked
		}
		p.of[mailbox], p.shared = place, shared
		if !slices.Contains(d.to.mailboxes, place) && !slices.Contains(p.all, place) {
			p.all = append(p.all, place)
		}
	}
	return p
}

// tooSmall reports whether a place had no room for the message when it came last, and has none now: this time it is delivered, marked.
func (d *delivery) tooSmall(ctx context.Context, place domains.Address) bool {
	last := d.r.late.size(d.e, place)
	return last > 0 && d.r.Mailboxes.Room(ctx, place.String(), last) != nil
}

// and are the mailboxes with the places beside them.
func (p *places) and(mailboxes []domains.Address) []domains.Address {
	return append(mailboxes[:len(mailboxes):len(mailboxes)], p.all...)
}

// without leaves out the places that have no room, and reports whether there are any: what would be put there is delivered, marked. The
// others stay, as a mailbox that fills up must not be what keeps junk out of the quarantine.
func (p *places) without(err error) bool {
	var refused *mailstore.Refused
	if !errors.As(err, &refused) {
		return false
	}
	before := len(p.all)
	isFull := func(place domains.Address) bool { return refused.Mailboxes[place.String()] != nil }
	p.all = slices.DeleteFunc(p.all, isFull)
	if len(p.all) == before {
		return false
	}
	maps.DeleteFunc(p.of, func(_, place domains.Address) bool { return isFull(place) })
	return true
}

// settle leaves out the places, or the mailboxes where the message is put aside, on top of which it says why.
func (d *delivery) settle() {
	if d.m.aside == "" || len(d.aside.of) == 0 {
		d.box.Exclude(storeNames(d.aside.all)...)
		return
	}
	before := d.aside.and(d.to.mailboxes)
	var to, owners []domains.Address
	for _, mailbox := range d.to.mailboxes {
		place := d.aside.of[mailbox]
		if place == "" {
			place = mailbox
		} else {
			owners = append(owners, mailbox)
		}
		if !slices.Contains(to, place) {
			to = append(to, place)
		}
	}
	d.to.mailboxes, d.to.instead = to, d.aside.of
	d.box.Exclude(storeNames(d.to.dropped(before))...)
	d.m.facts = append(d.m.facts, slog.String("aside", d.m.aside))
	why := d.m.aside
	if d.m.unsafe {
		why = quarantine.Unsafe(why)
	}
	d.m.top.returnPath = quarantine.Note(why, d.aside.shared, owners...) + d.m.top.returnPath
}

// errNoPlace: where the message was to be put has no room for it now.
var errNoPlace = &smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "The message cannot be stored now; try again later"}

// commitInstead puts the message where it goes in place of its recipients, and nowhere else.
func (d *delivery) commitInstead(ctx context.Context) error {
	place := d.m.instead.Mailbox
	if place == "" {
		return nil
	}
	written := d.aside.and(d.to.mailboxes)
	if d.box == nil || !slices.Contains(written, place) {
		return errNoPlace
	}
	d.box.Exclude(storeNames(slices.DeleteFunc(written, func(m domains.Address) bool { return m == place }))...)
	err := d.box.Commit(ctx, d.m.top.local())
	var refused *mailstore.Refused
	if errors.As(err, &refused) {
		return errNoPlace.With(err)
	}
	return err
}
