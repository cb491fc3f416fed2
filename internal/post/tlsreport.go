package post

import (
	"bytes"
	"context"
	"errors"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// newReports makes what counts how TLS fares and tells the domains that ask.
// It lives as long as the daemon; Reconfigure tells it which DNS servers to
// ask and what this host is called. It is nil where there is nobody who tells.
func (o *Outbound) newReports() *relay.TLSReports {
	contact := o.need.Contact
	if contact == "" {
		return nil
	}
	return &relay.TLSReports{
		Organization: domains.CanonicalAddress(contact).Domain().String(), Contact: contact,
		Send:  o.sendReport,
		Cache: o.cache,
		Log:   o.need.Log,
	}
}

// errTooMany: the address has had as many notices of ours as anybody gets who has not
// written to us. Any domain may name any address for its reports.
var errTooMany = errors.New("too many notices to this address, its domain, or all; later")

// sendReport queues one report. What comes of it, nobody needs to know.
func (o *Outbound) sendReport(ctx context.Context, to string, message []byte) error {
	path, err := smtp.ParseMailbox(to, smtp.PathUTF8|smtp.PathLenient)
	if err != nil {
		return err
	}
	if !o.queue.MayNotify(path) {
		return errTooMany
	}
	contact, err := smtp.ParseMailbox(o.reports.Contact, smtp.PathUTF8)
	if err != nil {
		return err
	}
	e := &queue.Entry{
		Class: queue.Notice, From: contact,
		To: []queue.Recipient{{Path: path, Params: smtp.RcptParams{Notify: smtp.NotifyNever}}},
	}
	return o.queue.Submit(ctx, e, bytes.NewReader(message))
}
