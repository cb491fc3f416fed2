package maildir

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// publish reserves the room, commits, and tells the boxes. The deliveries are over
// then, unless some of the mailboxes refused.
func (s *Store) publish(ctx context.Context, ds ...*delivery) error {
	abort := func() {
		for _, d := range ds {
			d.Abort()
		}
	}
	release, err := reserveAll(ctx, ds)
	if err != nil {
		if !errors.As(err, new(*mailstore.Refused)) {
			abort()
		}
		return err
	}
	tx := new(durable.Tx)
	for _, d := range ds {
		steps, err := d.steps()
		if err != nil {
			release(false)
			abort()
			return wrap("maildir: deliver", err)
		}
		tx.Files, tx.Steps = append(tx.Files, d.files()...), append(tx.Steps, steps...)
	}
	for _, d := range ds {
		d.finish()
	}
	err = s.c.Commit(ctx, tx)
	release(err == nil)
	for _, d := range ds {
		d.published(err)
	}
	return wrap("maildir: deliver", err)
}

// published clears away what a commit has left, which ended with err.
func (d *delivery) published(err error) {
	if err != nil {
		d.forgetPlaces(err)
	}
	if err != nil || !d.moved() {
		// Gone already if the commit failed after the rename and took it back
		// incompletely; then there is nothing to remove.
		d.unlink(d.file)
	}
	if err != nil {
		for _, f := range d.apart {
			_ = d.s.fs.Remove(f.Name())
		}
	}
}

// reserveAll takes the room for all of the messages, or for none.
func reserveAll(ctx context.Context, ds []*delivery) (release func(delivered bool), err error) {
	var taken []func(bool)
	release = func(delivered bool) {
		for _, r := range taken {
			r(delivered)
		}
	}
	all := make(map[string]error)
	for _, d := range ds {
		one, err := d.reserve(ctx)
		var refused *mailstore.Refused
		switch {
		case err == nil:
			taken = append(taken, one)
		case errors.As(err, &refused):
			maps.Copy(all, refused.Mailboxes)
		default:
			release(false)
			return nil, err
		}
	}
	if err := refusal(all); err != nil {
		release(false)
		return nil, err
	}
	return release, nil
}

// CommitAll implements mailstore.SealedStore: one transaction for all of them.
func (s *Store) CommitAll(ctx context.Context, parts ...mailstore.Part) error {
	var ds []*delivery
	abort := func() {
		for _, p := range parts {
			p.Delivery.Abort()
		}
	}
	for _, p := range parts {
		d, ok := p.Delivery.(*delivery)
		if !ok || d.s != s {
			abort()
			return errors.New("maildir: a delivery of another store")
		}
		switch {
		case d.done:
			abort()
			return fs.ErrClosed
		case len(d.boxes) == 0:
			continue // all its mailboxes were excluded
		}
		if err := d.complete(p.Top); err != nil {
			abort()
			return err
		}
		ds = append(ds, d)
	}
	if len(ds) == 0 {
		abort()
		return errNobody
	}
	return s.publish(ctx, ds...)
}

// steps gives the file its name in every mailbox.
func (d *delivery) steps() ([]durable.Step, error) {
	when := d.meta.Received
	if when.IsZero() {
		when = time.Now()
	}
	if d.named && d.old() {
		// For tools that take the arrival from the file's time. Best effort.
		_ = os.Chtimes(d.file.Name(), when, when)
	}
	if d.base == "" {
		d.base = d.s.name.next(when)
	}
	steps := make([]durable.Step, 0, len(d.boxes))
	last := d.mover()
	var move durable.Step
	for i, b := range d.boxes {
		name, err := d.nameIn(b)
		if err != nil {
			return nil, err
		}
		switch copied, ok := d.apart[b]; {
		case !d.named:
			steps = append(steps, durable.PublishFile(d.file, name))
		case ok:
			steps = append(steps, durable.Publish(copied.Name(), name))
		case i == last:
			move = durable.Publish(d.file.Name(), name)
		default:
			steps = append(steps, durable.Link(d.file.Name(), name))
		}
	}
	if d.moved() { // at the end: it takes the name in tmp away
		steps = append(steps, move)
	}
	return steps, nil
}

// mover is which mailbox the file is moved into, and not linked: the first of
// those that share its mount. -1 where there is none.
func (d *delivery) mover() int {
	return slices.IndexFunc(d.boxes, func(b *box) bool { return d.apart[b] == nil })
}

// moved reports whether the steps take the file's name in tmp away, if it has one.
func (d *delivery) moved() bool { return d.named && d.mover() >= 0 }

// nameIn is the file's name in a mailbox.
func (d *delivery) nameIn(b *box) (string, error) {
	name := d.base + sizeFields(d.disk, d.wire, d.exact, d.meta.Mark(), "")
	if d.meta.UID != "" {
		taken, err := b.claim(d.meta.UID)
		if err != nil {
			return "", err
		}
		with := d.base + sizeFields(d.disk, d.wire, d.exact, d.meta.Mark(), d.meta.UID)
		if !taken && len(with) < maxComponent-10 { // room for flags
			name = with
		}
	}
	if flags := mailstore.CleanFlags(d.meta.Flags); flags != "" {
		return b.sub("cur", name+colon+"2,"+flags), nil
	}
	return b.sub("new", name), nil
}
