package post

import (
	"errors"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Mail that an alias leads to another host leaves with a sender of ours
// (queue.SRS), and what comes back to that sender goes on to the true one.

// Refusals of addresses that look like rewritten senders. Whoever guesses
// them would have us send mail to any address at all.
var (
	errForgedSRS = &smtp.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such address: this is not a sender that this server has rewritten"}
	errStaleSRS  = &smtp.Reply{Code: 550, Enhanced: "5.1.6", Text: "This rewritten sender has expired"}
)

// forwardedFrom is the sender a message has when an alias leads it to another
// host: one of ours, unless it is so already. Null stays null.
func (o *Outbound) forwardedFrom(dir Directory, from smtp.Path) (smtp.Path, error) {
	srs := o.srs.Load()
	if from.IsNull() || srs.Key == nil || dir.IsLocal(from) {
		return from, nil
	}
	from.Domain = from.DomainName().String()
	return srs.Forward(from, time.Now())
}

// returned finds out who is behind a rewritten sender that mail comes back to.
// ok is false where the address is none: an ordinary one.
func (o *Outbound) returned(to smtp.Path) (sender smtp.Path, ok bool, err error) {
	srs := o.srs.Load()
	if srs.Key == nil || !looksRewritten(to.Local) || to.DomainName() != srs.Domain {
		return to, false, nil
	}
	sender, err = srs.Reverse(to, time.Now())
	switch {
	case errors.Is(err, queue.ErrStale):
		return to, true, errStaleSRS
	case err != nil:
		return to, true, errForgedSRS.With(err)
	}
	return sender, true, nil
}

// behind is who reads what comes back to a sender: a bounce is addressed to them
// and not to what we made of their address. One that has expired stays as it is.
func (o *Outbound) behind(from smtp.Path) smtp.Path {
	if sender, ok, err := o.returned(from); ok && err == nil {
		return sender
	}
	return from
}

func looksRewritten(local string) bool {
	return len(local) > 5 && (strings.EqualFold(local[:4], "SRS0") || strings.EqualFold(local[:4], "SRS1")) &&
		strings.IndexByte("=-+", local[4]) >= 0
}
