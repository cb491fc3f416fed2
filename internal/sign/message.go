package sign

import (
	"bytes"
	"context"
	"fmt"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// errUnsigned: the settings want a signature, and there is no key that the DNS shows.
var errUnsigned = &smtp.Reply{Code: 451, Enhanced: "4.7.5", Text: "Mail from this domain cannot be signed now"}

// errUnreadable: what would have to be signed cannot be made out.
var errUnreadable = &smtp.Reply{Code: 550, Enhanced: "5.7.5", Text: "The header of the message is too long to be signed"}

// Sender implements post.Inspector.
func (r *Ring) Sender(context.Context, *smtp.Session, smtp.Path, bool) error { return nil }

// Inspect implements post.Inspector: messages of those who may send through this
// host are signed, if they are from one of its domains, and the client speaks for it. What
// strangers bring is never signed, whatever its From says, nor what comes by LMTP: who brings that
// hands on the mail of others.
func (r *Ring) Inspect(_ context.Context, look *post.Look) post.Inspection {
	if !look.Trusted || look.Envelope.Session.LMTP {
		return nil
	}
	from, signer := r.signer(look.Header, look.SpeaksFor)
	if from == "" {
		return nil
	}
	unsigned := func(why *smtp.Reply) post.Inspection {
		r.unsigned.Add(1)
		return unsigned(r.settings.Load().Require, why)
	}
	if look.Header.Truncated() {
		return unsigned(errUnreadable)
	}
	if signer == nil {
		return unsigned(errUnsigned.With(fmt.Errorf("no key of %s is shown by the DNS", from)))
	}
	signing, err := signer.Sign(look.Completed + look.Header.String())
	if err != nil {
		return unsigned(errUnsigned.With(err))
	}
	return inspection{signing, r}
}

// signer finds who signs for the author of a message: the first of its From addresses
// that is of a domain here which the client speaks for: users of one domain do not speak for another.
// from is that domain, or empty.
func (r *Ring) signer(header *rfc2822.Section, speaksFor func(smtp.Path) bool) (from domains.Name, s *dkim.Signer) {
	signers := *r.signers.Load()
	for _, field := range header.Named("From") {
		named, _ := rfc2822.ReadAddressList(field.Value())
		for _, a := range named {
			if d := domains.Canonical(a.Domain); r.wants(d) && speaksFor(smtp.Path{Local: a.Local, Domain: a.Domain}) {
				return d, signers[d]
			}
		}
	}
	return "", nil
}

// inspection is one message that is signed.
type inspection struct {
	*dkim.Signing
	ring *Ring
}

// Most implements post.Inspection.
func (i inspection) Most() (results, fields int) { return 0, i.Signing.Most() }

// Findings implements post.Inspection.
func (i inspection) Findings(context.Context) (f post.Findings, err error) {
	if f.Fields, err = i.Finish(); err == nil {
		i.ring.signed.Add(1)
	} else {
		i.ring.unsigned.Add(1)
	}
	return f, err
}

// unsigned lets a message pass without a signature, or refuses it.
func unsigned(require bool, why error) post.Inspection {
	if !require {
		return nil
	}
	return refusal{why}
}

// refusal is the answer to a message that cannot be signed.
type refusal struct{ why error }

// Write implements io.Writer.
func (r refusal) Write([]byte) (int, error) { return 0, r.why }

// Most implements post.Inspection.
func (r refusal) Most() (results, fields int) { return 0, 0 }

// Findings implements post.Inspection.
func (r refusal) Findings(context.Context) (post.Findings, error) { return post.Findings{}, r.why }

// maxOwnHeader bounds the header of a message of the server's own, in octets.
const maxOwnHeader = 1 << 20

// Message signs a message of the server's own, such as a bounce, and returns it with the signature on top, or
// as it is if there is no key for its author.
func (r *Ring) Message(message []byte) ([]byte, error) {
	header, _, err := rfc2822.Peek(bytes.NewReader(message), maxOwnHeader)
	if err != nil || header.Truncated() {
		return message, err
	}
	from, signer := r.signer(header, func(smtp.Path) bool { return true })
	if signer == nil {
		if from != "" {
			r.unsigned.Add(1)
		}
		return message, nil
	}
	signing, err := signer.Sign(header.String())
	if err != nil {
		return message, err
	}
	if _, err := signing.Write(message[header.Size():]); err != nil {
		return message, err
	}
	fields, err := signing.Finish()
	if err != nil {
		return message, err
	}
	var signed bytes.Buffer
	for _, f := range fields {
		signed.WriteString(f)
	}
	signed.Write(message)
	r.signed.Add(1)
	return signed.Bytes(), nil
}
