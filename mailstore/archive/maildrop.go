package archive

import (
	"context"
	"errors"
	"io"

	"github.com/postrider-mail/postrider/mailstore"
)

// drop is a maildrop as a source.
type drop struct {
	ctx  context.Context
	m    mailstore.Maildrop
	i    int
	open io.Closer
}

// FromMaildrop yields the messages of an open maildrop, with their ids, and
// their flags and times if it knows them. Close closes the maildrop.
// Messages are opened under ctx.
func FromMaildrop(ctx context.Context, m mailstore.Maildrop) Source { return &drop{ctx: ctx, m: m} }

func (d *drop) Next() (*Message, error) {
	if err := d.closeMessage(); err != nil {
		return nil, err
	}
	for ; d.i < d.m.Len(); d.i++ {
		i := d.i
		r, err := d.m.Open(d.ctx, i)
		if errors.Is(err, mailstore.ErrGone) {
			continue
		}
		d.i++
		if err != nil {
			return nil, &MessageError{d.m.UID(i), err}
		}
		d.open = r
		m := &Message{Name: d.m.UID(i), UID: d.m.UID(i), Body: wire{r}, Size: d.m.Size(i)}
		if details, ok := d.m.(mailstore.Details); ok {
			m.Flags, m.Received = details.Flags(i), details.Received(i)
		}
		return m, nil
	}
	return nil, io.EOF
}

// wire marks octets that are as on the wire already: no line ends are to be put
// right. How the other store keeps them is its own business.
type wire struct{ io.Reader }

// OnWire marks a message's octets, as Message.Body, as those that went over the wire: they
// are kept to the last one, whatever their line ends are.
func OnWire(r io.Reader) io.Reader { return wire{r} }

func (d *drop) closeMessage() error {
	if d.open == nil {
		return nil
	}
	err := d.open.Close()
	d.open = nil
	return err
}

func (d *drop) Close() error {
	_ = d.closeMessage()
	return d.m.Close()
}
