package post

import (
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/smtp"
)

// What users may ask of mail that they submit: to be held (RFC 4865), to arrive by a
// time (RFC 2852), to go first (RFC 6710), to reach nobody but the one who has had the
// address for long (RFC 7293). The queue does it for mail that leaves. What stays
// here is delivered before the answer to DATA: there is nothing to hold it in, and
// it is never late.

// LongestHold is the longest time for which users may have a message held.
const LongestHold = 31 * 24 * time.Hour

// Wishes are the extensions with which clients may say so, where mail is taken that
// leaves.
func (r *Receiver) Wishes(e *smtp.Extensions) {
	if r.Outbound == nil || !r.Submission {
		return
	}
	e.FutureRelease, e.DeliverBy, e.DeliverByMin, e.Priority, e.RRVS = LongestHold, true, time.Minute, true, true
}

var (
	errNotHeld  = &smtp.Reply{Code: 550, Enhanced: "5.3.3", Text: "Mail for mailboxes of this server cannot be held"}
	errNotKnown = &smtp.Reply{Code: 550, Enhanced: "5.7.19", Text: "This server does not know since when the mailbox has its owner"}
)

// grants refuses what cannot be had for a recipient with mailboxes here.
func grants(e *smtp.Envelope, to *smtp.Recipient, found accounts.Targets) error {
	switch {
	case len(found.Mailboxes) == 0:
		return nil
	case e.Params.HoldUntil.After(time.Now()):
		return errNotHeld
	case !to.Params.RRVS.IsZero() && to.Params.RRVSReject:
		return errNotKnown
	}
	return nil
}
