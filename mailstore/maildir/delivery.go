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

	"github.com/postrider-mail/postrider/internal/durable"
	"github.com/postrider-mail/postrider/mailstore"
)

// spill is how much of a message waits in memory before a file is made: most
// messages are smaller and then cost a single write.
const spill = 64 << 10

// bufs holds slices with room for spill octets and one chunk more.
var bufs = sync.Pool{New: func() any {
	b := make([]byte, 0, spill+chunk)
	return &b
}}

// delivery is one message on its way into one or more mailboxes.
type delivery struct {
	s     *Store
	meta  mailstore.Meta
	boxes []*box // no two the same
	hold  *durable.Hold

	base string // name, if given out already

	fold  folder
	exact bool
	wire  int64 // octets written by the caller
	disk  int64 // octets already in file
	buf   *[]byte
	file  durable.File
	named bool            // file stands in tmp
	apart map[*box]string // copies in tmp, for mailboxes on other mounts
	err   error           // the first failure; nothing works after it
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
		return nil, errors.New("maildir: delivery without recipients")
	}
	d := &delivery{s: s, meta: m, exact: m.Exact}
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
		if slices.Contains(d.boxes, b) {
			continue // one copy each, however often named
		}
		if err := s.checkQuota(ctx, b, m.Size); err != nil {
			return nil, fmt.Errorf("mailbox %s: %w", b.user, err)
		}
		d.boxes = append(d.boxes, b)
	}
	if err := d.begin(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// begin takes the room for the message, and makes the mailboxes.
func (d *delivery) begin(ctx context.Context) (err error) {
	if d.hold, err = d.s.c.Space().Begin(ctx, d.s.reserve, d.meta.Size, d.lose); err != nil {
		return wrap("maildir: begin message", err)
	}
	for _, b := range d.boxes {
		if err = b.ensure(ctx); err == nil {
			err = b.oneMount()
		}
		if err != nil {
			d.hold.End()
			return err
		}
	}
	d.buf = bufs.Get().(*[]byte)
	return nil
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

// Write implements mailstore.Delivery.
func (d *delivery) Write(p []byte) (int, error) {
	if d.done {
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
	if d.err == nil && len(*d.buf) >= spill {
		d.flush()
	}
}

// flush writes the buffer to the file, making it in tmp first.
func (d *delivery) flush() {
	if d.spend(len(*d.buf)); d.err != nil {
		return
	}
	if d.file == nil {
		d.named = true
		d.file, d.err = d.newFile(func(tmp string) (durable.File, error) {
			return d.s.fs.Create(filepath.Join(tmp, d.s.tmpName()))
		})
		if d.err != nil {
			return
		}
	}
	n, err := d.file.Write(*d.buf)
	d.disk += int64(n)
	if err != nil {
		d.err = wrap("maildir: write message", err)
	}
	*d.buf = (*d.buf)[:0]
}

// flushWhole writes a message that has stayed in the buffer to a file that needs
// no name before its last: it is cheaper to make, and a crash leaves nothing to
// clear away. Where there is no such thing it goes by way of tmp as well.
func (d *delivery) flushWhole() {
	if d.file == nil && !d.old() && !d.scattered() {
		d.named = false
		d.file, d.err = d.newFile(d.s.fs.CreateUnnamed)
		if errors.Is(d.err, errors.ErrUnsupported) {
			d.file, d.err = nil, nil
		}
	}
	if d.err == nil {
		d.flush()
	}
}

// newFile makes a file with the first mailbox's tmp. Should somebody have taken
// the mailbox away since ensure, it is made again.
func (d *delivery) newFile(create func(tmp string) (durable.File, error)) (durable.File, error) {
	tmp := d.boxes[0].sub("tmp", "")
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
	folded, old := *d.buf, d.file
	fresh := make([]byte, 0, spill+chunk)
	d.buf, d.file, d.disk = &fresh, nil, 0
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
		d.reread(old.Name(), add)
		d.discard(old)
	}
	add(folded)
	folded = folded[:0]
	bufs.Put(&folded)
	if d.fold.pending && d.err == nil {
		fresh = append(fresh, '\r')
	}
}

func (d *delivery) reread(name string, add func([]byte)) {
	f, err := os.Open(name)
	if err != nil {
		d.err = wrap("maildir: reread message", err)
		return
	}
	defer f.Close()
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
func (d *delivery) Commit(ctx context.Context) error {
	if d.done {
		return fs.ErrClosed
	}
	if d.complete(); d.err != nil {
		err := d.err
		d.Abort()
		return err
	}
	d.finish()
	if err := d.publish(ctx); err != nil {
		// Gone already if the commit failed after the rename and took it back
		// incompletely; then there is nothing to remove.
		d.unlink(d.file)
		return wrap("maildir: deliver", err)
	}
	return nil
}

// complete writes the rest, and makes the room safe from others.
func (d *delivery) complete() {
	if err := d.hold.Enter(); err != nil {
		d.err = wrap("maildir: write message", err)
		return
	}
	defer d.hold.Leave()
	if !d.exact && d.fold.pending && d.err == nil {
		*d.buf = append(*d.buf, '\r') // the last octet was a CR
	}
	if d.err == nil {
		d.flushWhole()
	}
	if d.err == nil {
		d.err = wrap("maildir: write message", d.hold.Keep())
	}
}

// publish reserves the room, commits, and tells the boxes.
func (d *delivery) publish(ctx context.Context) error {
	settle, err := d.reserve(ctx)
	if err != nil {
		_ = d.file.Close()
		return err
	}
	tx := &durable.Tx{Files: []durable.File{d.file}}
	if err = d.copyApart(tx); err == nil {
		tx.Steps, err = d.steps()
	}
	if err != nil {
		closeAll(tx.Files)
	} else {
		err = d.s.c.Commit(ctx, tx)
	}
	if err != nil {
		d.dropApart(err)
	}
	settle(err == nil)
	return err
}

// steps links the file into every mailbox but the first, and moves it into that.
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
	steps := make([]durable.Step, len(d.boxes))
	for i, b := range d.boxes {
		name := d.base + sizeFields(d.disk, d.wire, d.exact, "")
		if d.meta.UID != "" {
			taken, err := b.claim(d.meta.UID)
			if err != nil {
				return nil, err
			}
			with := d.base + sizeFields(d.disk, d.wire, d.exact, d.meta.UID)
			if !taken && len(with) < maxComponent-10 { // room for flags
				name = with
			}
		}
		sub := "new"
		if flags := cleanFlags(d.meta.Flags); flags != "" {
			sub, name = "cur", name+":2,"+flags
		}
		// The first box's step comes last: it takes the name in tmp away.
		if !d.named {
			steps[i] = durable.PublishFile(d.file, b.sub(sub, name))
		} else if i == 0 {
			steps[len(steps)-1] = durable.Publish(d.file.Name(), b.sub(sub, name))
		} else if copied, ok := d.apart[b]; ok {
			steps[i-1] = durable.Publish(copied, b.sub(sub, name))
		} else {
			steps[i-1] = durable.Link(d.file.Name(), b.sub(sub, name))
		}
	}
	return steps, nil
}

// Abort implements mailstore.Delivery.
func (d *delivery) Abort() error {
	if d.done {
		return nil
	}
	d.finish()
	if d.file != nil {
		d.discard(d.file)
	}
	return nil
}

// finish gives the buffer back; the room needs no account any more, as nothing
// more will be written.
func (d *delivery) finish() {
	d.done = true
	d.hold.End()
	if d.buf != nil && cap(*d.buf) <= spill+chunk {
		*d.buf = (*d.buf)[:0]
		bufs.Put(d.buf)
	}
	d.buf = nil
}
