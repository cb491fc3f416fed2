package desk

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// asidePages see and release what was put aside, for administrators.
type asidePages struct{ *Desk }

// mostAside is how many messages the page has.
const mostAside = 100

// Aside implements admin.Quarantine.
func (p asidePages) Aside(ctx context.Context, of string) (a admin.Aside, err error) {
	s := p.Now().Settings
	a.On, a.Days = s.Verify.Quarantine != "", int(s.Verify.QuarantineKeep/(24*time.Hour))
	some := p.Quarantine().Newest(ctx, domains.CanonicalAddress(of), mostAside)
	if a.More, a.Locked = some.More, some.Locked; some.Unread != nil {
		a.Unread = some.Unread.Error()
	}
	for _, i := range some.Items {
		m := admin.AsideMail{ID: i.ID, Mailbox: i.Mailbox.String(), Why: i.Why, Unsafe: i.Unsafe, From: i.From, Subject: i.Subject, Octets: i.Size, Since: i.Since}
		if i.Sender != i.From {
			m.Sender = i.Sender
		}
		for _, to := range i.For {
			m.For = append(m.For, to.String())
		}
		a.Mail = append(a.Mail, m)
	}
	return a, nil
}

// Release implements admin.Quarantine.
func (p asidePages) Release(ctx context.Context, mailbox, id string, anyway bool) (to []string, err error) {
	item, err := p.Quarantine().ReleaseFrom(context.WithoutCancel(ctx), domains.Address(mailbox), id, anyway)
	if err != nil {
		return nil, err
	}
	p.Log.Info("released from quarantine", "uid", item.ID, "mailbox", item.Mailbox, "to", fmt.Sprint(item.For))
	for _, a := range item.For {
		to = append(to, a.String())
	}
	return to, nil
}
