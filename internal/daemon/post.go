package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// newRules is what one set of settings says about mail on its way in.
func newRules(s *conf.Settings, dir *accounts.Directory) *post.Rules {
	return &post.Rules{
		ServerName:     s.ServerName,
		RelayFrom:      s.SMTP.RelayFrom,
		MaxHops:        s.SMTP.MaxHops,
		MaxMessageSize: int64(s.SMTP.MaxMessageSize),
		Directory:      dir,
		OwnFields:      ownFields[s.SMTP.OwnFields],
		Lookups:        s.SMTP.Vrfy,
		Rate: func(user string) post.Rate {
			rate := post.Rate{Messages: s.SMTP.MessagesPerHour, Recipients: s.SMTP.RecipientsPerHour}
			if a := dir.Account(domains.Address(user)); a != nil {
				rate.Messages, rate.Recipients = cmp.Or(a.MessagesPerHour, rate.Messages), cmp.Or(a.RecipientsPerHour, rate.Recipients)
			}
			return rate
		},
	}
}

// openPost opens the ways in and out; that out only where the settings let mail
// leave.
func (d *Daemon) openPost(s *conf.Settings) error {
	d.post = &post.Post{
		Rules:      func() *post.Rules { return d.state().rules },
		Mailboxes:  d.store,
		Accepted:   d.metrics.Accepted,
		Log:        d.log,
		Inspectors: []post.Inspector{d.verifier, d.keys},
	}
	if !s.Queue.Deliver {
		return nil
	}
	disk, err := d.diskOf(s.QueueDir)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	sending, err := newSending(s, d.dns)
	if err != nil {
		return err
	}
	d.doubted.isOwn, d.doubted.log = func(domain domains.Name) bool { return slices.Contains(d.state().settings.Book().Domains(), domain) }, d.log
	o, err := post.OpenOutbound(context.Background(), sending, post.Needs{
		Dir:     s.QueueDir,
		Disk:    disk,
		MinFree: keepFree(s, s.QueueDir),

		BesideMailboxes: disk == d.disks[0], // which the store opened first
		Mailboxes:       d.store,
		Directory:       func() post.Directory { return d.state().rules.Directory },
		Contact:         s.Queue.TLSReport,
		Reported:        func() { d.metrics.SentReport(reports.TLS) },
		Sign:            d.keys.Message,
		Attempted: func(a *queue.Attempt) {
			d.metrics.Attempted(a)
			d.doubted.saw(a)
		},
		Notified: d.metrics.Notified,
		Log:      d.log,
	})
	if err != nil {
		return err
	}
	d.post.Outbound = o
	stored := d.healthy
	d.healthy = func() error { return errors.Join(stored(), o.Healthy()) }
	return nil
}

// ownFields are the fields of users' mail that must name their addresses, by
// what SMTP.own_fields says.
var ownFields = map[string][]string{"": {"From"}, "from": {"From"}, "both": {"From", "Sender"}}
