package post

import (
	"fmt"
	"slices"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// plan is where one message goes.
type plan struct {
	e         *smtp.Envelope
	mailboxes []domains.Address
	elsewhere []remote
	at        map[leg]int // where in elsewhere they are
	queued    bool        // the entries for elsewhere are made: they cannot change
	// released are the mailboxes whose copy goes once the message is forwarded, and looped those that it has been
	// forwarded for already.
	released map[domains.Address]bool
	settled  bool // what of it is forwarded, which is known once it has passed
	looped   map[domains.Address]bool

	instead map[domains.Address]domains.Address // where the message is put aside, by the mailbox it was for; nil: it is not

	failed  map[domains.Address]error // mailboxes that cannot take it, and why
	bounced []bounce
}

// bounce is a recipient whose sender is to be told that some of its mailboxes, or
// all, did not get the message.
type bounce struct {
	rcpt  *smtp.Recipient
	reply *smtp.Reply
}

// remote is one path of another host, the recipient it came from, and
// whether an alias led there.
type remote struct {
	path      smtp.Path
	rcpt      smtp.Recipient
	forwarded bool
	by        domains.Address // whose user wants it; empty: an alias leads there, or the client does
	keep      bool            // and a copy in the mailbox
}

// leg tells those who are elsewhere apart: an address has the message once for those whom the client or an alias wrote to, and once for each
// user who has it forwarded there. What becomes of a user's copy is his to know, and to have back.
type leg struct {
	to smtp.Path
	by domains.Address
}

// targetsOf is what checkRcpt found for a recipient. That there is nothing is an
// error: a message for nobody must not be taken for one that was stored.
func targetsOf(rcpt *smtp.Recipient) (accounts.Targets, error) {
	t, ok := rcpt.Value.(accounts.Targets)
	if !ok || t.None() {
		return accounts.Targets{}, fmt.Errorf("nobody decided where mail for <%s> goes (%T)", rcpt.Path, rcpt.Value)
	}
	return t, nil
}

// gather unites what checkRcpt found for each recipient: two addresses that
// lead to one mailbox are one copy.
func gather(e *smtp.Envelope) (*plan, error) {
	p := &plan{e: e, failed: make(map[domains.Address]error)}
	for i := range e.To {
		if _, err := targetsOf(&e.To[i]); err != nil {
			return nil, err
		}
	}
	p.unite()
	if p.nobody() {
		return nil, fmt.Errorf("message %s has no recipient", e.ID)
	}
	return p, nil
}

// unite lists everybody whom a recipient leads to that is not refused.
func (p *plan) unite() {
	p.mailboxes = nil
	if !p.settled {
		p.released = nil // it may be that of a recipient who is refused by now
	}
	if !p.queued {
		p.elsewhere, p.at = nil, nil
	}
	p.elsewhere = slices.DeleteFunc(p.elsewhere, func(r remote) bool { return p.failed[r.by] != nil })
	have := make(map[domains.Address]bool)
	for i := range p.e.To {
		rcpt := &p.e.To[i]
		if rcpt.Result != nil {
			continue
		}
		t, _ := targetsOf(rcpt)
		for _, mailbox := range t.Mailboxes {
			if !have[mailbox] && p.failed[mailbox] == nil && !(p.settled && p.released[mailbox]) {
				have[mailbox] = true
				p.mailboxes = append(p.mailboxes, mailbox)
			}
		}
		for _, path := range t.Elsewhere {
			if !p.queued {
				p.add(remote{path: path, rcpt: onward(*rcpt, t), forwarded: t.Local})
			}
		}
		p.forward(t.Onward)
	}
}

// add takes each leg once, with the client's own wish for an address rather than an
// alias's.
func (p *plan) add(r remote) {
	key := leg{r.path, r.by}
	if i, ok := p.at[key]; ok {
		if was := &p.elsewhere[i]; was.forwarded && !r.forwarded {
			*was = r
		}
		return
	}
	if p.at == nil {
		p.at = make(map[leg]int)
	}
	p.at[key] = len(p.elsewhere)
	p.elsewhere = append(p.elsewhere, r)
}

// nobody reports whether the message goes nowhere.
func (p *plan) nobody() bool { return len(p.mailboxes)+len(p.elsewhere) == 0 }

// dropped are the mailboxes of before that the plan names no more.
func (p *plan) dropped(before []domains.Address) []domains.Address {
	return slices.DeleteFunc(slices.Clone(before), func(m domains.Address) bool { return slices.Contains(p.mailboxes, m) })
}

// refuse takes mailboxes that cannot have the message out of the plan, and decides
// who hears of it:
//
//   - A recipient that loses one mailbox of several, and one by SMTP that loses
//     all, is accepted if its sender will be told by a report (canBounce). The
//     other mailboxes get the message.
//   - By LMTP every other recipient is refused alone (RFC 2033 §4.2); none of the
//     mailboxes it leads to gets a copy for its sake, or each new attempt would
//     leave one more there.
//   - By SMTP there is one answer for all. Where a report cannot be promised the
//     message is refused for everybody, for now: a 250 would lie to somebody. It
//     comes again, and late.go then knows at RCPT what there is no room for.
//
// An error is the answer for all.
func (p *plan) refuse(refused *mailstore.Refused, canBounce func(*smtp.Recipient) bool) error {
	for mailbox, why := range refused.Mailboxes {
		p.failed[domains.Address(mailbox)] = why
	}
	p.bounced = nil
	served := false
	var last *smtp.Reply
	for i := range p.e.To {
		rcpt := &p.e.To[i]
		if rcpt.Result != nil {
			continue
		}
		lost, all := p.lost(rcpt)
		if lost == nil {
			served = true
			continue
		}
		last = lost
		alone := p.e.Session.LMTP && all
		if !alone && canBounce(rcpt) {
			p.bounced = append(p.bounced, bounce{rcpt, lost})
			served = served || !all
			continue
		}
		if !p.e.Session.LMTP || p.queued && !all {
			return p.forAll(lost)
		}
		rcpt.Result = lost
	}
	if !served && !p.e.Session.LMTP {
		return p.forAll(last)
	}
	p.unite()
	return nil
}

// forAll makes of a reply about one recipient the one for all: a refusal for now,
// unless nobody would ever get the message.
func (p *plan) forAll(reply *smtp.Reply) *smtp.Reply {
	for i := range p.e.To {
		lost, all := p.lost(&p.e.To[i])
		if lost == nil || !all || lost.Temporary() {
			return forNow(reply)
		}
	}
	return reply
}

// forNow is a refusal as one that another attempt may overcome.
func forNow(reply *smtp.Reply) *smtp.Reply {
	if reply.Temporary() {
		return reply
	}
	later := &smtp.Reply{Code: 452, Enhanced: ofClass("4", reply.Enhanced), Text: reply.Text}
	return later.With(reply.Unwrap())
}

// lost is why a recipient does not get the message in all mailboxes it leads to, nil
// where it does, and whether it gets it nowhere.
func (p *plan) lost(rcpt *smtp.Recipient) (why *smtp.Reply, all bool) {
	t, _ := targetsOf(rcpt)
	n := 0
	for _, mailbox := range t.Mailboxes {
		if err := p.failed[mailbox]; err != nil {
			n++
			if why == nil {
				why = replyFor(err)
			}
		}
	}
	return why, n == len(t.Mailboxes)+len(t.Elsewhere)
}

// ofClass is an enhanced code (RFC 3463) in another class; an empty one stays so.
func ofClass(class, enhanced string) string {
	if enhanced == "" {
		return ""
	}
	return class + enhanced[1:]
}
