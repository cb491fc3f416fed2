package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// spill is how much of a message waits in memory before a file is made: most
// messages are smaller and then cost a single write.
const spill = 64 << 10

// bufs holds slices with room for the top, spill octets and one chunk more.
var bufs = sync.Pool{New: func() any {
	b := newBuffer()
	return &b
}}

// newBuffer is an empty buffer, behind the room for the top.
func newBuffer() []byte { return make([]byte, topMost, topMost+spill+chunk) }

// delivery is one message on its way into one or more mailboxes.
type delivery struct {
	s     *Store
	meta  mailstore.Meta
	boxes []*box            // that get the message, no two the same
	home  *box              // in whose tmp the file is made, also where it is excluded later
	names map[*box][]string // by which Create was given each
	hold  *durable.Hold

	base string // name, if given out already

	fold  folder
	exact bool
	wire  int64   // octets written by the caller, and those of the top
	disk  int64   // octets already in file
	buf   *[]byte // what is to be written next; until there is a file, behind room for the top
	place int     // octets kept free for the top at the beginning of a file
	file  durable.File
	named bool                  // file stands in tmp
	apart map[*box]durable.File // copies in tmp, for mailboxes on other mounts
	err   error                 // the first failure; nothing works after it
	whole bool                  // all of the message is in file
	done  bool
}

// Create implements mailstore.Store.
func (s *Store) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	if s.mode == ReadOnly {
		return nil, mailstore.ErrReadOnly
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, errNobody
	}
	if m.Seal != nil && !mailstore.ValidMark(m.Seal.Mark) {
		return nil, fmt.Errorf("maildir: a sealed message cannot be marked %q", m.Seal.Mark)
	}
	d := &delivery{s: s, meta: m, exact: m.Exact || m.Seal != nil, names: make(map[*box][]string, len(users))}
	if !m.Received.IsZero() {
		// Imports: many of one second, whose commits may overtake each other,
		// keep the order they were begun in.
		d.base = s.name.next(m.Received)
	}
	for _, u := range users {
		b, err := s.box(u)
		if err != nil {
			return nil, err
		}
		if d.names[b] == nil { // one copy each, however often named
			d.boxes = append(d.boxes, b)
		}
		if !slices.Contains(d.names[b], u) {
			d.names[b] = append(d.names[b], u)
		}
	}
	if err := d.begin(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// begin takes the room for the message. What keeps a message from all mailboxes
// is no mailbox's fault.
func (d *delivery) begin(ctx context.Context) (err error) {
	if d.hold, err = d.s.c.Space().Begin(ctx, d.s.reserve, d.meta.Size, d.lose); err != nil {
		return wrap("maildir: begin message", err)
	}
	if err := d.fits(ctx); err != nil {
		d.hold.End()
		return err
	}
	d.home = d.boxes[0]
	d.keepPlace()
	return nil
}

// buffer takes a buffer where there is none: a delivery to which nothing was written yet
// holds none, as there may be many at a time for one message (mailstore/sealed).
func (d *delivery) buffer() {
	if d.buf == nil {
		d.buf = bufs.Get().(*[]byte)
	}
}

// lose gives the message's room back when others need it; see durable.Space.
func (d *delivery) lose() {
	if d.file != nil {
		d.discard(d.file)
		d.file = nil
	}
}

// spend says that so much is about to be written, or why it must not be.
func (d *delivery) spend(octets int) {
	if d.err == nil {
		d.err = wrap("maildir: write message", d.hold.Spend(int64(octets)))
	}
}

// fits reports whether every mailbox can take a message of the announced size.
func (d *delivery) fits(ctx context.Context) error {
	var refused map[string]error
	for _, b := range d.boxes {
		err := d.s.checkQuota(ctx, b, d.meta.Size)
		if err == nil {
			err = b.ensure(ctx)
		}
		if err == nil {
			err = b.oneMount()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		refused = d.refuse(refused, b, err)
	}
	return refusal(refused)
}

// refuse adds a mailbox that cannot take the message to those that were found so.
func (d *delivery) refuse(refused map[string]error, b *box, err error) map[string]error {
	if err == nil {
		return refused
	}
	if refused == nil {
		refused = make(map[string]error)
	}
	for _, name := range d.names[b] {
		refused[name] = err
	}
	return refused
}

func refusal(refused map[string]error) error {
	if len(refused) == 0 {
		return nil
	}
	return &mailstore.Refused{Mailboxes: refused}
}

// Exclude implements mailstore.Delivery.
func (d *delivery) Exclude(users ...string) {
	d.boxes = slices.DeleteFunc(d.boxes, func(b *box) bool {
		return slices.ContainsFunc(d.names[b], func(name string) bool { return slices.Contains(users, name) })
	})
}

// Write implements mailstore.Delivery.
func (d *delivery) Write(p []byte) (int, error) {
	if d.done || d.whole {
		return 0, fs.ErrClosed
	}
	if err := d.hold.Enter(); err != nil {
		d.err = wrap("maildir: write message", err)
		return 0, d.err
	}
	defer d.hold.Leave()
	written := 0
	for len(p) > 0 && d.err == nil {
		piece := p[:min(len(p), chunk)]
		p = p[len(piece):]
		d.put(piece)
		if d.err == nil {
			written += len(piece)
			d.wire += int64(len(piece))
		}
	}
	return written, d.err
}

// put adds at most one chunk.
func (d *delivery) put(p []byte) {
	d.buffer()
	if !d.exact {
		out, n, ok := d.fold.fold(*d.buf, p)
		*d.buf, p = out, p[n:]
		if !ok {
			if d.unfold(); d.err != nil {
				return
			}
		}
	}
	if d.exact {
		d.flushFull()
		*d.buf = append(*d.buf, p...)
	}
	d.flushFull()
}

// flushFull keeps the buffer below spill.
func (d *delivery) flushFull() {
	if d.err == nil && len(*d.buf) >= topMost+spill {
		front := d.front()
		if d.file == nil && d.place > topMost {
			d.flush(make([]byte, d.place))
		}
		d.flush((*d.buf)[front:])
		*d.buf = (*d.buf)[:0]
	}
}

// front is where in the buffer the file begins: with the place for the top, unless
// there is a file already.
func (d *delivery) front() int {
	if d.file != nil {
		return 0
	}
	if d.place > topMost { // it fits in no buffer and is written by itself
		return topMost
	}
	clear((*d.buf)[topMost-d.place : topMost])
	return topMost - d.place
}

// flush writes to the file, making it in tmp first.
func (d *delivery) flush(p []byte) {
	if d.spend(len(p)); d.err != nil {
		return
	}
	if d.file == nil {
		d.named = true
		d.file, d.err = d.newFile(d.createNamed)
		if d.err != nil {
			return
		}
	}
	n, err := d.file.Write(p)
	d.disk += int64(n)
	if err != nil {
		d.err = wrap("maildir: write message", err)
	}
}

func (d *delivery) createNamed(tmp string) (durable.File, error) {
	return d.s.fs.Create(filepath.Join(tmp, d.s.tmpName()))
}

// flushWhole writes a message that has stayed in the buffer to a file that needs
// no name before its last: it is cheaper to make, and a crash leaves nothing to
// clear away. Where there is no such thing it goes by way of tmp as well, and also
// if it is for several mailboxes: whoever takes it from the first may remove it
// before the second has it, and what has lost its last name gets no other
// (link(2)), whereas its name in tmp stays to the end.
func (d *delivery) flushWhole(p []byte) {
	if !d.old() && len(d.boxes) == 1 && d.boxes[0] == d.home {
		d.named = false
		d.file, d.err = d.newFile(d.s.fs.CreateUnnamed)
		if errors.Is(d.err, errors.ErrUnsupported) {
			d.file, d.err = nil, nil
		}
	}
	if d.err == nil {
		d.flush(p)
	}
}

// newFile makes a file with the first mailbox's tmp. Should somebody have taken
// the mailbox away since ensure, it is made again.
func (d *delivery) newFile(create func(tmp string) (durable.File, error)) (durable.File, error) {
	tmp := d.home.sub("tmp", "")
	for try := 0; ; try++ {
		f, err := create(tmp)
		if err == nil {
			return f, nil
		}
		if try > 0 || !errors.Is(err, fs.ErrNotExist) {
			return nil, wrap("maildir: create message", err)
		}
		for _, b := range d.boxes {
			b.vanished()
			if err := b.ensure(context.Background()); err != nil {
				return nil, err
			}
		}
	}
}

// unfold turns what was written so far back into what came, because the rest
// cannot be folded. It happens to few messages and mostly within the buffer.
func (d *delivery) unfold() {
	d.exact = true
	old, place, back := d.file, d.place, d.buf
	folded := *back
	if old == nil {
		folded = folded[topMost:]
	}
	fresh := newBuffer()
	d.buf, d.file, d.disk = &fresh, nil, 0
	d.keepPlace()
	var conv unfold
	add := func(p []byte) {
		for len(p) > 0 && d.err == nil {
			nd, ns := conv.next(fresh[len(fresh):cap(fresh)], p)
			fresh = fresh[:len(fresh)+nd]
			p = p[ns:]
			d.flushFull()
		}
	}
	if old != nil {
		d.reread(old.Name(), place, add)
		d.discard(old)
	}
	add(folded)
	giveBack(back)
	if d.fold.pending && d.err == nil {
		fresh = append(fresh, '\r')
	}
}

// reread gives add what is in a file behind its first octets.
func (d *delivery) reread(name string, first int, add func([]byte)) {
	f, err := os.Open(name)
	if err == nil {
		defer f.Close()
		_, err = f.Seek(int64(first), io.SeekStart)
	}
	if err != nil {
		d.err = wrap("maildir: reread message", err)
		return
	}
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for d.err == nil {
		n, err := f.Read(buf[:])
		add(buf[:n])
		if err == io.EOF {
			return
		}
		if err != nil {
			d.err = wrap("maildir: reread message", err)
		}
	}
}

func (d *delivery) discard(f durable.File) {
	_ = f.Close()
	d.unlink(f)
}

// unlink takes the name in tmp away, if there is one.
func (d *delivery) unlink(f durable.File) {
	if d.named {
		_ = d.s.fs.Remove(f.Name())
	}
}

// old reports whether the message came long ago, as with an import, so that its
// file is given that time.
func (d *delivery) old() bool {
	return !d.meta.Received.IsZero() && time.Since(d.meta.Received) > time.Minute
}

// Commit implements mailstore.Delivery.
func (d *delivery) Commit(ctx context.Context, top []byte) error {
	if d.done {
		return fs.ErrClosed
	}
	if err := d.complete(top); err != nil {
		d.Abort()
		return err
	}
	return d.s.publish(ctx, d)
}

// complete brings all of the message into its file, and makes its room safe from
// others.
func (d *delivery) complete(top []byte) error {
	if err := d.hold.Enter(); err != nil {
		d.err = wrap("maildir: write message", err)
		return d.err
	}
	defer d.hold.Leave()
	if d.err == nil {
		d.err = d.s.Err()
	}
	if !d.whole && d.err == nil {
		d.buffer()
		if !d.exact && d.fold.pending {
			*d.buf, d.fold.pending = append(*d.buf, '\r'), false // the last octet was a CR
		}
		d.putTop(top)
		if d.meta.Seal != nil {
			d.wire = d.meta.Seal.Size // by which it is counted from now on
		}
		d.whole = d.err == nil
		giveBack(d.buf)
		d.buf = nil
	}
	if d.err == nil && len(d.boxes) == 0 {
		return errNobody
	}
	if d.err == nil {
		d.err = wrap("maildir: write message", d.hold.Keep())
	}
	return d.err
}

var errNobody = errors.New("maildir: delivery without recipients")

// Abort implements mailstore.Delivery.
func (d *delivery) Abort() error {
	if d.done {
		return nil
	}
	d.finish()
	if d.file != nil {
		d.discard(d.file)
	}
	for _, f := range d.apart {
		_ = f.Close()
		_ = d.s.fs.Remove(f.Name())
	}
	return nil
}

// finish gives the buffer back; the room needs no account any more, as nothing
// more will be written.
func (d *delivery) finish() {
	d.done = true
	d.hold.End()
	if d.buf != nil {
		giveBack(d.buf)
	}
	d.buf = nil
}

// giveBack puts a buffer back, unless it has grown.
func giveBack(buf *[]byte) {
	if cap(*buf) <= topMost+spill+chunk {
		*buf = (*buf)[:topMost]
		bufs.Put(buf)
	}
}
