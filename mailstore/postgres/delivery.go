package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

const (
	mostInRow = 64 << 10 // octets of a body that stands in one row
	maxUID    = 70       // of a unique id (RFC 1939 §7)
)

// delivery is one message on its way into the store.
type delivery struct {
	s     *Store
	ctx   context.Context // of Create: a piece of a large message is written under it
	meta  mailstore.Meta
	names map[string][]string // by the mailbox's name, those that Create was given for it
	text  database.Text

	received time.Time

	out    *outside // nil: nothing of it will be outside of the database
	failed error
	ended  bool // nothing more can be written: Commit or Reread was called
	over   bool
}

// Create implements mailstore.Store.
func (s *Store) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	if s.closed.Load() {
		return nil, mailstore.ErrClosed
	}
	if len(users) == 0 {
		return nil, errors.New("postgres: a message for nobody")
	}
	d := &delivery{s: s, ctx: ctx, meta: m, names: make(map[string][]string), text: database.Text{ID: database.NewID()}}
	d.meta.Top, d.meta.UID = nil, usableUID(m.UID)
	if s.objects != nil {
		d.out = &outside{s: s}
	}
	refused := &mailstore.Refused{Mailboxes: make(map[string]error)}
	for _, user := range users {
		name, _, err := canonical(user)
		if err != nil {
			return nil, err
		}
		d.names[name] = append(d.names[name], user)
		if m.Size > 0 && len(d.names[name]) == 1 {
			if err := s.Room(ctx, user, m.Size); errors.Is(err, mailstore.ErrOverQuota) {
				refused.Mailboxes[name] = err
			} else if err != nil {
				return nil, err
			}
		}
	}
	if len(refused.Mailboxes) > 0 {
		return nil, d.refused(refused.Mailboxes)
	}
	return d, nil
}

// usableUID is an id as RFC 1939 §7 wants it, or none.
func usableUID(uid string) string {
	if len(uid) > maxUID || strings.ContainsFunc(uid, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return ""
	}
	return uid
}

// refused names mailboxes by all the names that Create was given.
func (d *delivery) refused(why map[string]error) *mailstore.Refused {
	r := &mailstore.Refused{Mailboxes: make(map[string]error)}
	for name, err := range why {
		for _, given := range d.names[name] {
			r.Mailboxes[given] = err
		}
	}
	return r
}

// Write implements io.Writer.
func (d *delivery) Write(p []byte) (int, error) {
	if d.ended || d.over {
		return 0, errors.New("postgres: write after the end of a message")
	}
	if d.failed != nil {
		return 0, d.failed
	}
	if d.s.closed.Load() {
		return 0, mailstore.ErrClosed
	}
	if d.out != nil {
		if d.failed = d.out.write(d.ctx, p); d.failed != nil {
			return 0, d.failed
		}
		return len(p), nil
	}
	n, err := d.s.pieces.Write(d.ctx, &d.text, p)
	d.failed = unavailable("write message", err)
	return n, d.failed
}

// Exclude implements mailstore.Delivery.
func (d *delivery) Exclude(users ...string) {
	for name, given := range d.names {
		if slices.ContainsFunc(given, func(g string) bool { return slices.Contains(users, g) }) {
			delete(d.names, name)
		}
	}
}

// Commit implements mailstore.Delivery. It waits for the outcome also when ctx ends meanwhile: what is on its way cannot be
// called back, and the store's own time-out bounds it.
func (d *delivery) Commit(ctx context.Context, top []byte) error {
	switch {
	case d.over:
		return errors.New("postgres: the delivery is over")
	case d.s.closed.Load():
		d.over = true
		return mailstore.ErrClosed
	case d.failed != nil:
		return d.failed
	case len(d.names) == 0:
		d.drop()
		return errors.New("postgres: a message for nobody")
	case ctx.Err() != nil:
		d.drop()
		return ctx.Err()
	}
	if err := d.end(ctx); err != nil {
		d.drop()
		return err
	}
	c := &commit{d: d, top: top, names: slices.Sorted(maps.Keys(d.names)), done: make(chan error, 1)}
	err := d.s.commits.Put(ctx, c)
	if err != nil {
		d.drop()
		if errors.Is(err, database.ErrEnded) {
			err = mailstore.ErrClosed
		}
		return err
	}
	err = <-c.done // it comes: what a committer takes in has an end
	if refused := (*mailstore.Refused)(nil); errors.As(err, &refused) {
		return err // it can be committed without them
	}
	d.over = true
	d.text.Rest = nil
	return err
}

// Abort implements mailstore.Delivery.
func (d *delivery) Abort() error {
	if !d.over {
		d.drop()
	}
	return nil
}

// drop forgets the message.
func (d *delivery) drop() {
	d.over = true
	if d.out != nil {
		d.out.drop()
	}
	d.s.pieces.Drop(d.s.ends, &d.text, d.s.log)
}

// size is how many octets the message has with its top; of one that is sealed, the message inside.
func (c *commit) size() int64 {
	if seal := c.d.meta.Seal; seal != nil {
		return seal.Size
	}
	return c.d.text.Octets + int64(len(c.top))
}

// clock gives times that rise: messages of one process are listed in the order in which they were accepted.
type clock struct{ last atomic.Int64 }

func (c *clock) now() time.Time {
	for {
		now, last := time.Now().UnixMicro(), c.last.Load()
		if now <= last {
			now = last + 1
		}
		if c.last.CompareAndSwap(last, now) {
			return time.UnixMicro(now)
		}
	}
}
