package sealed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
)

// What stands on top of a message is known last, but is sealed first. A message of one chunk waits in memory.
// Of a larger one the first chunk waits, with room for the top that is expected; the others are sealed and written as they come,
// behind a place for the first, which is sealed at the end and is to the store inside what the top of a message is.
// Memory is the same for any size of message and number of mailboxes, but for what the store inside takes for each.

const (
	chunkSize = sealedmail.ChunkSize
	// topMost is the most room that is kept in the first chunk for the top.
	topMost = 16 << 10
)

// buffers are what a delivery holds: the first chunk, the present one, and one that is sealed.
type buffers struct {
	first, present [chunkSize]byte
	sealed         [sealedmail.HeadSize + sealedmail.SealedChunkSize]byte
}

var pool = sync.Pool{New: func() any { return new(buffers) }}

// giveBack clears the buffers: what was in them is readable nowhere else.
func (b *buffers) giveBack(used int) {
	clear(b.first[:min(used, chunkSize)])
	clear(b.present[:min(used, chunkSize)])
	pool.Put(b)
}

// delivery is one message on its way to mailboxes of which some are sealed.
type delivery struct {
	s    *Store
	ctx  context.Context
	meta mailstore.Meta

	open  mailstore.Delivery // for those that are not; nil: none
	names []string           // of these, that are left
	parts []*part

	b       *buffers
	top     int // octets kept in the first chunk for the top
	first   int // octets of the body in the first chunk
	present int // octets of the present chunk, in a long message
	chunks  uint64
	long    bool
	used    int   // octets of the buffers, at most
	placed  bool  // the files have a place for the first chunk
	size    int64 // of the body

	refused map[string]error // by Create, or when it was asked again
	ready   bool             // all is written, and commit is what to commit
	commit  []mailstore.Part
	done    bool
	err     error
}

// part is the copy for one mailbox that is sealed.
type part struct {
	key    string   // public
	names  []string // of the mailbox
	seal   *mailstore.Seal
	sealer *sealedmail.Sealer
	inner  mailstore.Delivery
	front  []byte // once sealed: head and first chunk
}

// begin asks the store inside.
func (d *delivery) begin(ctx context.Context, open []string, byKey map[string][]string) (err error) {
	d.top = min(len(d.meta.Top), topMost)
	d.names = open
	if len(open) > 0 {
		if d.open, err = d.s.inner.Create(ctx, d.meta, open...); d.refuse(err) != nil {
			return err
		}
	}
	d.b = pool.Get().(*buffers)
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		p := &part{key: key, names: byKey[key]}
		// What was announced is believed for now.
		d.placed = int64(fieldSize+d.top)+d.meta.Size > chunkSize
		if err := d.start(ctx, p); d.refuse(err) != nil {
			return err
		}
		d.parts = append(d.parts, p)
	}
	return nil
}

// start begins a file, with a place for its first chunk where d.placed. Nothing may have been sealed for it.
func (d *delivery) start(ctx context.Context, p *part) (err error) {
	if p.sealer == nil {
		if p.sealer, err = d.s.batches.sealer(p.key); err != nil {
			return &mailstore.Refused{Mailboxes: all(p.names, errors.Join(ErrKey, err))}
		}
		p.seal = &mailstore.Seal{Mark: newMark(p.key)}
	}
	m := d.meta
	m.Seal, m.Exact, m.Top = p.seal, true, nil
	if d.placed {
		m.Top = d.b.sealed[:] // its length is all that counts
	}
	p.inner, err = d.s.inner.Create(ctx, m, p.names...)
	return err
}

// restart begins the files anew, with a place for the first chunk or without. A mailbox that refuses now is named at Commit.
func (d *delivery) restart(placed bool) error {
	if d.placed == placed {
		return nil
	}
	d.placed = placed
	d.parts = slices.DeleteFunc(d.parts, func(p *part) bool {
		p.inner.Abort()
		for {
			err := d.start(d.ctx, p)
			switch had := len(p.names); {
			case err == nil:
				return false
			case d.refuse(err) != nil:
				d.err = err
				return true
			default: // two mailboxes may have one key, and one of them room
				p.names = slices.DeleteFunc(p.names, func(u string) bool { return d.refused[u] != nil })
				if len(p.names) == 0 || len(p.names) == had {
					return true
				}
			}
		}
	})
	return d.err
}

func all(names []string, err error) map[string]error {
	m := make(map[string]error, len(names))
	for _, n := range names {
		m[n] = err
	}
	return m
}

// refuse notes which mailboxes cannot take the message. Another error is given back.
func (d *delivery) refuse(err error) error {
	var r *mailstore.Refused
	if errors.As(err, &r) {
		maps.Copy(d.refused, r.Mailboxes)
		return nil
	}
	return err
}

// bodyAt is where in the first chunk the body begins.
func (d *delivery) bodyAt() int { return fieldSize + d.top }

// Write implements mailstore.Delivery.
func (d *delivery) Write(p []byte) (int, error) {
	if d.done || d.ready {
		return 0, fs.ErrClosed
	}
	if d.err != nil {
		return 0, d.err
	}
	if d.open != nil {
		if n, err := d.open.Write(p); err != nil {
			d.err = err
			return n, err
		}
	}
	if len(d.parts) == 0 {
		return len(p), nil
	}
	written := len(p)
	for at := d.bodyAt(); len(p) > 0; {
		if !d.long {
			n := copy(d.b.first[at+d.first:], p)
			d.first, p = d.first+n, p[n:]
			d.used = at + d.first
			if len(p) > 0 {
				if d.err = d.lengthen(); d.err != nil {
					return 0, d.err
				}
			}
			continue
		}
		if d.present == chunkSize { // not the last, as there is more
			if d.err = d.flush(false); d.err != nil {
				return 0, d.err
			}
		}
		n := copy(d.b.present[d.present:], p)
		d.present, p = d.present+n, p[n:]
	}
	d.size += int64(written)
	return written, nil
}

// lengthen goes on with a message that needs more than one chunk: its files begin with a place for the
// first.
func (d *delivery) lengthen() error {
	d.long, d.chunks = true, 1
	return d.restart(true)
}

// flush seals the present chunk and writes it for every mailbox.
func (d *delivery) flush(last bool) error {
	for _, p := range d.parts {
		if _, err := p.inner.Write(p.sealer.AppendChunk(d.b.sealed[:0], d.b.present[:d.present], d.chunks, last)); err != nil {
			return err
		}
	}
	d.chunks++
	d.present = 0
	return nil
}

// Commit implements mailstore.Delivery.
func (d *delivery) Commit(ctx context.Context, top []byte) error {
	if d.done {
		return fs.ErrClosed
	}
	if len(d.refused) > 0 {
		return &mailstore.Refused{Mailboxes: d.refused}
	}
	if !d.ready {
		if d.err == nil {
			d.err = d.complete(top)
		}
		if d.err != nil {
			d.Abort()
			return d.err
		}
		if len(d.refused) > 0 {
			return &mailstore.Refused{Mailboxes: d.refused}
		}
		d.ready = true
	}
	err := d.s.inner.CommitAll(ctx, d.commit...)
	if errors.As(err, new(*mailstore.Refused)) {
		return err
	}
	d.finish()
	return err
}

// complete seals what is left.
func (d *delivery) complete(top []byte) error {
	room, fits := mailstore.Pad(top, d.top-len(top))
	fits = fits && len(top) > 0 || d.top == len(top)
	if !d.long {
		if err := d.restart(false); err != nil {
			return err
		}
		if len(d.refused) > 0 {
			return nil // Commit names them
		}
	}
	if d.long && len(d.parts) > 0 {
		if err := d.flush(true); err != nil {
			return err
		}
	}
	for _, p := range d.parts {
		other, err := d.otherKey(p)
		switch {
		case err != nil:
		case !d.long:
			if other {
				err = d.startAnew(p)
			}
			if err == nil {
				err = d.whole(p, top)
			}
		case fits && !other:
			d.putFront(p, room)
		default:
			err = d.again(p, top)
		}
		if err != nil {
			return err
		}
		d.commit = append(d.commit, mailstore.Part{Delivery: p.inner, Top: p.front})
	}
	if d.open != nil {
		d.commit = append(d.commit, mailstore.Part{Delivery: d.open, Top: top})
	}
	return nil
}

// otherKey asks once more to which key a copy is to be sealed: it may have been replaced while the message came, and nobody may
// have the one before any more. Of a mailbox that is not sealed any more the keys are still there.
func (d *delivery) otherKey(p *part) (yes bool, err error) {
	now := p.key
	for i, u := range p.names {
		key, err := d.s.recipient(u)
		if err == nil && i > 0 && key != "" && key != now {
			err = errors.New("two mailboxes had one key, and have two since the message began")
		}
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrKey, err)
		}
		if key != "" {
			now = key
		}
	}
	yes = now != p.key
	p.key = now
	return yes, nil
}

// startAnew begins a file anew of which nothing is written, for another key.
func (d *delivery) startAnew(p *part) error {
	p.inner.Abort()
	p.sealer = nil
	return d.start(d.ctx, p)
}

// putFront seals the first chunk of a long message.
func (d *delivery) putFront(p *part, top []byte) {
	copy(d.b.first[copy(d.b.first[:], field(p.seal.Mark)):], top)
	front := d.b.sealed[:0] // nothing else is sealed any more
	if len(d.parts) > 1 {
		front = make([]byte, 0, len(d.b.sealed))
	}
	p.front = p.sealer.AppendChunk(append(front, p.sealer.Head()...), d.b.first[:], 0, false)
	p.seal.Size = int64(len(top)) + d.size
}

// whole writes a message that has stayed in memory.
func (d *delivery) whole(p *part, top []byte) error {
	at := d.bodyAt()
	if from := at - fieldSize - len(top); from >= 0 { // in front of the body there is room for all that stands on top of it
		copy(d.b.first[from+copy(d.b.first[from:], field(p.seal.Mark)):], top)
		p.seal.Size = int64(len(top)) + d.size
		sealed := append(d.b.sealed[:0], p.sealer.Head()...)
		_, err := p.inner.Write(p.sealer.AppendChunk(sealed, d.b.first[from:at+d.first], 0, true))
		return err
	}
	return d.stream(p, top, func(w *chunker) error { return w.add(d.b.first[at : at+d.first]) })
}

// again writes a long message anew, for its top needs more room than was kept.
func (d *delivery) again(p *part, top []byte) error {
	old, oldSealer := p.inner, p.sealer
	defer old.Abort()
	reader, ok := old.(mailstore.SealedDelivery)
	if !ok {
		return errors.New("sealed: the top is longer than was said, and the store cannot read a delivery again")
	}
	p.sealer, d.placed = nil, false
	if err := d.start(d.ctx, p); err != nil {
		p.inner = old
		return err
	}
	return d.stream(p, top, func(w *chunker) error {
		if err := w.add(d.b.first[d.bodyAt():]); err != nil {
			return err
		}
		r, err := reader.Reread()
		if err != nil {
			return err
		}
		defer r.Close()
		return oldSealer.Reread(r, 1, true, w.add)
	})
}

// stream writes a file from its first octet to its last.
func (d *delivery) stream(p *part, top []byte, body func(*chunker) error) error {
	d.used = max(d.used, d.bodyAt()+len(top)+int(d.size))
	if _, err := p.inner.Write(p.sealer.Head()); err != nil {
		return err
	}
	w := &chunker{p: p, buf: d.b.present[:], sealed: d.b.sealed[:0]}
	p.seal.Size = int64(len(top)) + d.size
	if err := w.add([]byte(field(p.seal.Mark))); err != nil {
		return err
	}
	if err := w.add(top); err != nil {
		return err
	}
	if err := body(w); err != nil {
		return err
	}
	return w.end()
}

// chunker seals a stream chunk by chunk.
type chunker struct {
	p      *part
	buf    []byte // a chunk
	have   int
	n      uint64
	sealed []byte
}

func (c *chunker) add(p []byte) error {
	for len(p) > 0 {
		if c.have == len(c.buf) {
			if err := c.put(false); err != nil {
				return err
			}
		}
		n := copy(c.buf[c.have:], p)
		c.have, p = c.have+n, p[n:]
	}
	return nil
}

func (c *chunker) put(last bool) error {
	_, err := c.p.inner.Write(c.p.sealer.AppendChunk(c.sealed, c.buf[:c.have], c.n, last))
	c.n, c.have = c.n+1, 0
	return err
}

func (c *chunker) end() error { return c.put(true) }

// Exclude implements mailstore.Delivery.
func (d *delivery) Exclude(users ...string) {
	named := func(u string) bool { return slices.Contains(users, u) }
	if d.open != nil {
		d.open.Exclude(users...)
		if d.names = slices.DeleteFunc(slices.Clone(d.names), named); len(d.names) == 0 {
			d.drop(d.open)
			d.open = nil
		}
	}
	d.parts = slices.DeleteFunc(d.parts, func(p *part) bool {
		p.inner.Exclude(users...)
		p.names = slices.DeleteFunc(p.names, named)
		if len(p.names) > 0 {
			return false // two mailboxes may have one key
		}
		d.drop(p.inner)
		return true
	})
	for _, u := range users {
		delete(d.refused, u)
	}
}

// drop throws away what is not to be committed.
func (d *delivery) drop(inner mailstore.Delivery) {
	inner.Abort()
	d.commit = slices.DeleteFunc(d.commit, func(p mailstore.Part) bool { return p.Delivery == inner })
}

// Abort implements mailstore.Delivery.
func (d *delivery) Abort() error {
	if d.done {
		return nil
	}
	var err error
	if d.open != nil {
		err = d.open.Abort()
	}
	for _, p := range d.parts {
		if p.inner != nil {
			err = errors.Join(err, p.inner.Abort())
		}
	}
	d.finish()
	return err
}

func (d *delivery) finish() {
	d.done = true
	if d.b != nil {
		d.b.giveBack(d.used)
		d.b = nil
	}
}
