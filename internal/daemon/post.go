package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// newRules is what one set of settings says about mail on its way in.
func newRules(s *conf.Settings, dir *accounts.Directory) *post.Rules {
	var strip []string
	if s.Verify.StripMarks {
		strip = verify.MarkFields()
	}
	return &post.Rules{
		StripFields:    strip,
		Aside:          aside(s),
		ServerName:     s.ServerName,
		RelayFrom:      s.SMTP.RelayFrom,
		MaxHops:        s.SMTP.MaxHops,
		MaxMessageSize: int64(s.SMTP.MaxMessageSize),
		Directory:      dir,
		OwnFields:      ownFields[s.SMTP.OwnFields],
		Lookups:        s.SMTP.Vrfy,
		Forward:        s.Web.May(conf.MayForward),
		Absence:        s.Web.May(conf.MayAbsence),
		Limits: &post.Limits{
			Account:      func(a domains.Address) post.Rate { return rateOf(s.UserRate(dir.Account(a), dir.Domain(a.Domain()))) },
			Domain:       func(d domains.Name) post.Rate { return rateOf(s.DomainRate(dir.Domain(d))) },
			Network:      rateOf(s.Rates.Network),
			All:          rateOf(s.Rates.All),
			SenderDomain: rateOf(s.Rates.SenderDomain),
			Mailbox:      rateOf(s.Rates.Mailbox),
		},
	}
}

func rateOf(r conf.Rate) post.Rate {
	return post.Rate{Hour: post.Amount{Messages: r.MessagesPerHour, Recipients: r.RecipientsPerHour},
		Day: post.Amount{Messages: r.MessagesPerDay, Recipients: r.RecipientsPerDay}, Burst: r.Burst}
}

// openPost opens the ways in and out; that out only where the settings let mail
// leave.
func (d *Daemon) openPost(s *conf.Settings) error {
	d.post = &post.Post{
		Rules:      func() *post.Rules { return d.state().rules },
		Mailboxes:  d.store,
		Users:      d.preferences,
		Accepted:   d.metrics.Accepted,
		Limited:    d.metrics.Limited,
		Keep:       d.keepSent,
		Log:        d.log,
		Inspectors: []post.Inspector{d.verifier, d.keys, d.filter, d.scanner, d.milters},
	}
	if !s.Queue.Deliver {
		return nil
	}
	disk, err := d.diskOf(s.QueueDir)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	sending, err := d.newSending(s, nil)
	if err != nil {
		return err
	}
	shared, err := d.openQueue()
	if err != nil {
		return err
	}
	d.doubted.isOwn, d.doubted.log = func(domain domains.Name) bool { return slices.Contains(d.state().settings.Book().Domains(), domain) }, d.log
	o, err := post.OpenOutbound(context.Background(), sending, post.Needs{
		Dir:     s.QueueDir,
		Shared:  shared,
		Common:  d.together.learnt(),
		Gathers: d.gathers(),
		Disk:    disk,
		MinFree: KeepFree(s, s.QueueDir),

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
		Limited:  d.metrics.Limited,
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
