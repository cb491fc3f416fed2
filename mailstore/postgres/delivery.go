package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

const (
	mostInRow = 64 << 10  // octets of a body that stands in one row
	chunkSize = 128 << 10 // octets of a row of a larger one
	maxUID    = 70        // of a unique id (RFC 1939 §7)
)

// bodyID names the text of a message. Later ones sort after earlier ones, so that new rows stand side by side.
type bodyID [16]byte

func newBodyID() (id bodyID) {
	rand.Read(id[:]) // never fails
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(id[:6], ms[2:])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80 // RFC 9562 §5.7
	return id
}

func (id bodyID) String() string { return hex.EncodeToString(id[:]) }

// delivery is one message on its way into the store.
type delivery struct {
	s     *Store
	ctx   context.Context // of Create: a piece of a large message is written under it
	meta  mailstore.Meta
	names map[string][]string // by the mailbox's name, those that Create was given for it
	id    bodyID

	received time.Time

	out    *outside // nil: nothing of it will be outside of the database
	buf    []byte
	chunks int
	octets int64 // of the body
	failed error
	sealed bool // Commit was called: nothing more can be written
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
	d := &delivery{s: s, ctx: ctx, meta: m, names: make(map[string][]string), id: newBodyID()}
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
	if d.sealed || d.over {
		return 0, errors.New("postgres: write after the end of a message")
	}
	if d.failed != nil {
		return 0, d.failed
	}
	if d.out != nil {
		if d.failed = d.out.write(d.ctx, p); d.failed != nil {
			return 0, d.failed
		}
		d.octets += int64(len(p))
		return len(p), nil
	}
	var n int
	n, d.failed = d.keep(d.ctx, p)
	d.octets += int64(n)
	return n, d.failed
}

// keep puts what comes into the database.
func (d *delivery) keep(ctx context.Context, p []byte) (int, error) {
	for n := 0; n < len(p); {
		room := chunkSize - len(d.buf)
		piece := p[n:min(len(p), n+room)]
		d.buf = append(d.buf, piece...)
		n += len(piece)
		if len(d.buf) == chunkSize {
			if err := d.flush(ctx); err != nil {
				return n, err
			}
		}
	}
	return len(p), nil
}

// flush writes the next piece of a large message. It need not be on stable storage before the commit that names it is: that
// one's record stands behind it in the log of the database, which is made durable in its order.
func (d *delivery) flush(ctx context.Context) error {
	ctx, cancel, err := d.s.within(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	_, err = d.s.relaxed(ctx, `insert into $.chunk (body, n, data) values ($1, $2, $3)`, d.id, d.chunks, d.buf)
	if err != nil {
		return unavailable("write message", err)
	}
	d.chunks++
	d.buf = d.buf[:0]
	return nil
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
	if d.out != nil && !d.sealed {
		inside, err := d.out.end(ctx)
		if err == nil {
			_, err = d.keep(ctx, inside)
		}
		if err != nil {
			d.drop()
			return err
		}
	}
	d.sealed = true
	if d.received = d.meta.Received; d.received.IsZero() {
		d.received = d.s.clock.now()
	}
	if len(d.buf) > 0 && (d.chunks > 0 || len(d.buf) > mostInRow) {
		if err := d.flush(ctx); err != nil {
			d.drop()
			return err
		}
	}
	c := &commit{d: d, top: top, names: slices.Sorted(maps.Keys(d.names)), done: make(chan error, 1)}
	select {
	case d.s.commits <- c:
	case <-ctx.Done():
		d.drop()
		return ctx.Err()
	case <-d.s.ends.Done():
		d.over = true
		return mailstore.ErrClosed
	}
	err := <-c.done // it comes: what a committer takes in has an end
	if refused := (*mailstore.Refused)(nil); errors.As(err, &refused) {
		return err // it can be committed without them
	}
	d.over = true
	d.buf = nil
	return err
}

// Abort implements mailstore.Delivery.
func (d *delivery) Abort() error {
	if !d.over {
		d.drop()
	}
	return nil
}

// drop forgets the message. Pieces that are written already are deleted beside whoever gave it up: what is left of them if that
// fails is swept away later.
func (d *delivery) drop() {
	d.over, d.buf = true, nil
	if d.out != nil {
		d.out.drop()
	}
	if d.chunks == 0 || d.s.closed.Load() {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(d.s.ends, d.s.timeout)
		defer cancel()
		if _, err := d.s.relaxed(ctx, `delete from $.chunk where body = $1`, d.id); err != nil {
			d.s.log.Info("pieces of a message that was given up stay for now", "id", d.meta.ID, "err", err)
		}
	}()
}

// size is how many octets the message has with its top.
func (c *commit) size() int64 { return c.d.octets + int64(len(c.top)) }

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
