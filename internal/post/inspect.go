package post

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Inspector looks at messages on their way in: whether they are from whom they say, to
// be signed, or to be marked. It is called concurrently.
type Inspector interface {
	// Sender is told at MAIL who begins a transaction, so that what takes long can begin
	// as well. What it finds out is kept in the session's values. An error refuses the
	// sender, as one of Inspect does the message.
	Sender(ctx context.Context, s *smtp.Session, from smtp.Path, trusted bool) error
	// Inspect begins with a message whose header is known; nil: there is nothing
	// to look at.
	Inspect(ctx context.Context, look *Look) Inspection
}

// Doorkeeper is an Inspector that has a say about each recipient as well. It is asked when all else speaks for the
// recipient: nobody learns from it who is here, and nothing is asked for those who are not.
type Doorkeeper interface {
	Recipient(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error
}

// Look is what is known of a message before the rest of it passes.
type Look struct {
	Envelope *smtp.Envelope
	// Trusted: the client may send to other hosts. It has logged in, is a program of this
	// host, or comes from one that the settings name.
	Trusted bool
	// SpeaksFor reports whether the client speaks for the domain of an address: whoever has logged in,
	// for those where he has one; a host that is trusted, for all.
	SpeaksFor func(smtp.Path) bool
	// Submission: the message is completed, as the first server of a user's mail does it.
	Submission bool
	// Header is that of the message as it came. It is not to be changed.
	Header *rfc2822.Section
	// Busy: the header is truncated only because too many others are as long now.
	Busy bool
	// Completed are the fields that are put directly above Header, with the seam to
	// what is no header.
	Completed string

	from []rfc2822.AddressField
}

// From are the From fields of the header. They are read once for all inspectors, of whom one is asked at a time.
func (l *Look) From() []rfc2822.AddressField {
	if l.from == nil {
		l.from = rfc2822.ReadAddressFields(l.Header.Named("From"))
	}
	return slices.Clip(l.from)
}

// Inspection is an Inspector's look at one message. An error that is a *smtp.Reply is
// the answer to the message, any other one 451; nothing is stored then.
type Inspection interface {
	// Writer gets what follows the header, octet for octet as it came, while it passes.
	io.Writer
	// Most is how many octets the fields of Findings will have, at most. Should they
	// have more, a large message is written twice.
	Most() (results, fields int)
	// Findings are asked for when the message has passed.
	Findings(ctx context.Context) (Findings, error)
}

// Findings are what is to stand on top of a message: header fields as they will be
// read, each complete with its CRLF.
type Findings struct {
	// Results are for who reads the message here: they stand above Received, in mailboxes
	// alone (RFC 8601 §4.1).
	Results []string
	// Fields go wherever the message does, below Received.
	Fields []string
	// Aside is why the message is put aside, where its mailboxes have a place for that (Rules.Aside); empty: it
	// is not.
	Aside string
	// Unsafe: it is put aside for what it holds, as a scanner of viruses says.
	Unsafe bool
	// Facts are what the lines of the log say of the message besides.
	Facts []slog.Attr
	// Junk: the message is marked as junk. It is not forwarded for a user, nor answered for one.
	Junk bool
	// Unsure: the envelope's sender is not shown to be the one it says, or not to be. He is not answered: he may be anybody.
	Unsure bool
	// Instead says where the message goes in place of its recipients; nil: to them.
	Instead *Instead
}

// Instead is where a message goes that its client is told was accepted. Its sender hears nothing more of it, nor
// does anybody in whose name he may have written.
type Instead struct {
	// Mailbox is one of those that Diverter.Places gave; empty: the message is thrown away.
	Mailbox domains.Address
}

// Diverter is an Inspection whose Findings may say Instead.
type Diverter interface {
	// Places are the mailboxes that it may name. A message for one of them is written once, as any other.
	Places() []domains.Address
}

// inspectSender tells the inspectors who sends.
func (r *Receiver) inspectSender(ctx context.Context, s *smtp.Session, from smtp.Path) error {
	for _, i := range r.Inspectors {
		if err := i.Sender(ctx, s, from, r.trusts(s)); err != nil {
			return r.refusal(err)
		}
	}
	return nil
}

// inspectRecipient asks those who have a say.
func (r *Receiver) inspectRecipient(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
	for _, i := range r.Inspectors {
		if d, ok := i.(Doorkeeper); ok {
			if err := d.Recipient(ctx, s, to); err != nil {
				return r.refusal(err)
			}
		}
	}
	return nil
}

// inspections are all looks at one message.
type inspections struct {
	all    []Inspection
	header int64 // octets of the header that are still to pass
	failed error // what one of them said
}

// Write implements io.Writer.
func (i *inspections) Write(p []byte) (int, error) {
	skip := min(i.header, int64(len(p)))
	i.header -= skip
	for _, look := range i.all {
		if _, err := look.Write(p[skip:]); err != nil {
			i.failed = err
			return 0, err
		}
	}
	return len(p), nil
}

func (i *inspections) most() (results, fields int) {
	for _, look := range i.all {
		r, f := look.Most()
		results, fields = results+r, fields+f
	}
	return results, fields
}

// places are the mailboxes where the message may go instead.
func (i *inspections) places() (all []domains.Address) {
	for _, look := range i.all {
		if d, ok := look.(Diverter); ok {
			all = append(all, d.Places()...)
		}
	}
	return all
}

// findings is all that was found, one after another.
func (i *inspections) findings(ctx context.Context) (all Findings, err error) {
	for _, look := range i.all {
		found, err := look.Findings(ctx)
		if err != nil {
			return Findings{}, err
		}
		if all.Instead == nil {
			all.Instead = found.Instead
		}
		all.Results, all.Fields, all.Facts = append(all.Results, found.Results...), append(all.Fields, found.Fields...), append(all.Facts, found.Facts...)
		all.Junk, all.Unsure = all.Junk || found.Junk, all.Unsure || found.Unsure
		all.Aside, all.Unsafe = cmp.Or(all.Aside, found.Aside), all.Unsafe || found.Unsafe
	}
	return all, nil
}
