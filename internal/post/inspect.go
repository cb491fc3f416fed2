package post

import (
	"context"
	"io"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Inspector looks at messages on their way in: whether they are signed, or from whom
// they say, or to be marked. It is called concurrently.
type Inspector interface {
	// Inspect begins with a message whose header is known; nil: there is nothing
	// to look at.
	Inspect(ctx context.Context, e *smtp.Envelope, header *rfc2822.Section) Inspection
}

// Inspection is an Inspector's look at one message. An error that is a *smtp.Reply is
// the answer to the message, any other one 451; nothing is stored then.
type Inspection interface {
	// Writer gets the message, header included, octet for octet as it came, while
	// it passes.
	io.Writer
	// Most is how many octets Fields will have, at most. Should they have more,
	// a large message is written twice.
	Most() int
	// Fields are what is to stand on top of the message, which has passed.
	Fields(ctx context.Context) ([]rfc2822.Field, error)
}

// inspections are all looks at one message.
type inspections struct {
	all    []Inspection
	failed error // what one of them said
}

// Write implements io.Writer.
func (i *inspections) Write(p []byte) (int, error) {
	for _, look := range i.all {
		if _, err := look.Write(p); err != nil {
			i.failed = err
			return 0, err
		}
	}
	return len(p), nil
}

func (i *inspections) most() (octets int) {
	for _, look := range i.all {
		octets += look.Most()
	}
	return octets
}

// fields is the text of all that was found.
func (i *inspections) fields(ctx context.Context) (text []byte, err error) {
	for _, look := range i.all {
		fields, err := look.Fields(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			text = append(text, f.Raw()...)
		}
	}
	return text, nil
}
