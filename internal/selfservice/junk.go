package selfservice

import (
	"context"
	"errors"
	"time"

	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/quarantine"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// mostJunk is how many messages the page of a user has.
const mostJunk = 100

// Junk implements user.Own.
func (o *Service) Junk(ctx context.Context, who string) (j user.Junk, err error) {
	s := o.Now().Settings
	j.Aside, j.Days = s.Verify.Quarantine != "", int(s.Verify.QuarantineKeep/(24*time.Hour))
	items, more, err := o.Quarantine().Own(ctx, domains.Address(who), mostJunk)
	if errors.Is(err, mailstore.ErrLocked) {
		j.Busy = true
		return j, nil
	}
	j.More = more
	for _, i := range items {
		a := user.Aside{ID: i.ID, From: i.From, Subject: i.Subject, Why: i.Why, Octets: i.Size, Since: i.Since}
		if i.Sender != i.From {
			a.Sender = i.Sender
		}
		j.Mail = append(j.Mail, a)
	}
	return j, err
}

// Release implements user.Own.
func (o *Service) Release(ctx context.Context, who string, ids []string) (int, error) {
	released, err := o.Quarantine().ReleaseOwn(context.WithoutCancel(ctx), domains.Address(who), ids[:min(len(ids), mostJunk)])
	for _, i := range released {
		o.Log.Info("released from quarantine", "uid", i.ID, "mailbox", i.Mailbox, "to", who)
	}
	return len(released), junkError(err)
}

// junkError is what keeps mail that was put aside from being seen, in words for the user.
func junkError(err error) error {
	switch {
	case errors.Is(err, mailstore.ErrLocked):
		return &user.Refused{Why: "a mail program reads that mailbox at this moment; try again"}
	case errors.Is(err, quarantine.ErrUnsafe):
		return &user.Refused{Why: err.Error() + ". The postmaster can release it"}
	case errors.Is(err, mailstore.ErrOverQuota):
		return &user.Refused{Why: "your mailbox is full; it has no room for that"}
	}
	return err
}
