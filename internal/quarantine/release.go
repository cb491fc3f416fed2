package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// begun is the mark of a message whose release has begun: what is called a draft in a Maildir.
const begun = "D"

// ErrUnsafe: a scanner has found something in the message, and nobody has said that it is to be released all the same.
var ErrUnsafe = errors.New("a scanner has found something in this message")

// Release delivers a message to those it was for, without the field on top and else octet for octet, and takes it away. A second one finds
// nothing to release. Where it fails the message stays, as does one that is Unsafe unless it is to be released anyway.
func (p *Places) Release(ctx context.Context, id string, anyway bool) (released Item, err error) {
	err = p.find(ctx, id, func(box mailstore.Maildrop, i int, item Item) error {
		if item.Unsafe && !anyway {
			return fmt.Errorf("%w: %s", ErrUnsafe, item.Why)
		}
		released = item
		return p.release(ctx, box, i, item)
	})
	return released, err
}

var errNoKeeper = errors.New("this store cannot note that a release has begun")

// release delivers a message to all it was for, and takes it away.
func (p *Places) release(ctx context.Context, box mailstore.Maildrop, i int, item Item) error {
	keeper, ok := box.(mailstore.Keeper)
	if !ok {
		return errNoKeeper
	}
	if len(item.For) == 0 {
		return fmt.Errorf("%s: it does not say whose mail it is", item.ID)
	}
	missing := item.For
	if strings.Contains(keeper.Flags(i), begun) { // somebody was interrupted
		var err error
		if missing, err = p.without(ctx, item.ID, item.For); err != nil {
			return err
		}
	} else if err := keeper.Flag(ctx, []int{i}, begun); err != nil {
		return err
	}
	if len(missing) > 0 {
		if err := p.deliver(ctx, box, i, missing); err != nil {
			return err
		}
	}
	return box.Remove(ctx, []int{i})
}

// without are those of the mailboxes that have no message of this id.
func (p *Places) without(ctx context.Context, id string, all []domains.Address) (missing []domains.Address, err error) {
	for _, name := range all {
		box, err := p.Store.Open(ctx, name.String())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		has := false
		for i := range box.Len() {
			has = has || box.UID(i) == id
		}
		if err := box.Close(); err != nil {
			return nil, err
		}
		if !has {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// deliver puts a message into mailboxes, all or none, under its id.
func (p *Places) deliver(ctx context.Context, box mailstore.Maildrop, i int, to []domains.Address) error {
	r, err := box.Open(ctx, i)
	if err != nil {
		return err
	}
	defer r.Close()
	header, whole, err := rfc2822.Peek(r, mostHeader)
	if err != nil {
		return err
	}
	field, _, _, ok := read(header)
	if !ok {
		return errors.New("it has changed since it was put aside")
	}
	if _, err := io.CopyN(io.Discard, whole, int64(len(field))); err != nil {
		return err
	}
	var names []string
	for _, a := range to {
		names = append(names, a.String())
	}
	d, err := p.Store.Create(ctx, mailstore.Meta{ID: "release-" + box.UID(i), Size: box.Size(i) - int64(len(field)), UID: box.UID(i)}, names...)
	if err != nil {
		return err
	}
	defer d.Abort()
	if _, err := io.Copy(d, whole); err != nil {
		return err
	}
	return d.Commit(ctx, nil)
}

// Expire takes away what has been there for longer than that, and counts it.
func (p *Places) Expire(ctx context.Context, keep time.Duration) (n int, err error) {
	var errs []error
	for _, name := range p.boxes() {
		gone, err := p.expire(ctx, name, keep)
		n += gone
		if !errors.Is(err, mailstore.ErrLocked) { // somebody reads it: the next time
			errs = append(errs, err)
		}
	}
	return n, errors.Join(errs...)
}

func (p *Places) expire(ctx context.Context, name domains.Address, keep time.Duration) (int, error) {
	box, err := p.Store.Open(ctx, name.String())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	defer box.Close()
	details, ok := box.(mailstore.Details)
	if !ok {
		return 0, nil
	}
	var old []int
	var unread error // one that cannot be read keeps none of the others there
	for i := range box.Len() {
		if at := details.Received(i); at.IsZero() || time.Since(at) <= keep {
			continue
		}
		_, put, err := p.item(ctx, name, box, i)
		unread = cmp.Or(unread, because(name, err))
		if put {
			old = append(old, i)
		}
	}
	if len(old) == 0 {
		return 0, unread
	}
	if err := box.Remove(ctx, old); err != nil {
		return 0, because(name, err)
	}
	return len(old), unread
}
