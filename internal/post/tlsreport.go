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
		Send: func(ctx context.Context, to string, message []byte) error {
			err := o.SendReport(ctx, contact, to, smtp.NotifyNever, message) // what comes of it, nobody needs to know
			if err == nil && o.need.Reported != nil {
				o.need.Reported()
			}
			return err
		},
		Cache:  o.cache,
		Common: o.need.Gathers,
		Log:    o.need.Log,
	}
}

// errTooMany: the address has had as many notices of ours as anybody gets who has not
// written to us. Any domain may name any address for its reports.
var errTooMany = errors.New("too many notices to this address, its domain, or all; later")

// Cache keeps small things over restarts, among what the relay knows.
func (o *Outbound) Cache() relay.Cache { return o.cache }

// SendReport queues a report of ours to somebody who has not written to us. from hears of
// it what notify says.
func (o *Outbound) SendReport(ctx context.Context, from, to string, notify smtp.Notify, message []byte) error {
	path, err := smtp.ParseMailbox(to, smtp.PathUTF8|smtp.PathLenient)
	if err != nil {
		return err
	}
	if err := o.mayTell(); err != nil {
		return err
	}
	if !o.queue.MayNotify(path) {
		return errTooMany
	}
	sender, err := smtp.ParseMailbox(from, smtp.PathUTF8)
	if err != nil {
		return err
	}
	if message, err = o.signed(message); err != nil {
		return err
	}
	e := &queue.Entry{
		Class: queue.Notice, Proven: true, From: sender,
		To: []queue.Recipient{{Path: path, Params: smtp.RcptParams{Notify: notify}}},
	}
	return o.queue.Submit(ctx, e, bytes.NewReader(message))
}
