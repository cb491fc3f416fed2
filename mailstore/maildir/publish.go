package maildir

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// publish reserves the room, commits, and tells the boxes. The delivery is over
// then, unless some of the mailboxes refused.
func (d *delivery) publish(ctx context.Context) error {
	release, err := d.reserve(ctx)
	if err != nil {
		return err
	}
	steps, err := d.steps()
	if err != nil {
		release(false)
		d.Abort()
		return wrap("maildir: deliver", err)
	}
	d.finish()
	err = d.s.c.Commit(ctx, &durable.Tx{Files: d.files(), Steps: steps})
	release(err == nil)
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
	return wrap("maildir: deliver", err)
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
	name := d.base + sizeFields(d.disk, d.wire, d.exact, "")
	if d.meta.UID != "" {
		taken, err := b.claim(d.meta.UID)
		if err != nil {
			return "", err
		}
		with := d.base + sizeFields(d.disk, d.wire, d.exact, d.meta.UID)
		if !taken && len(with) < maxComponent-10 { // room for flags
			name = with
		}
	}
	if flags := cleanFlags(d.meta.Flags); flags != "" {
		return b.sub("cur", name+":2,"+flags), nil
	}
	return b.sub("new", name), nil
}
