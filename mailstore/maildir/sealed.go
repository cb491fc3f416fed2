package maildir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

var (
	_ mailstore.SealedStore    = (*Store)(nil)
	_ mailstore.SealedDrop     = (*maildrop)(nil)
	_ mailstore.SealedDelivery = (*delivery)(nil)
)

// Mark implements mailstore.SealedDrop.
func (m *maildrop) Mark(i int) string { return m.list[i].seal }

// File implements mailstore.SealedDrop.
func (m *maildrop) File(i int) string { return m.at(m.list[i]).name }

// OpenSealed implements mailstore.SealedDrop.
func (m *maildrop) OpenSealed(_ context.Context, i int) (io.ReadCloser, int64, error) {
	switch {
	case !m.open:
		return nil, 0, fs.ErrClosed
	case i < 0 || i >= len(m.list):
		return nil, 0, fmt.Errorf("maildir: no message %d", i)
	}
	e := m.list[i]
	f, info, err := m.openFile(e)
	if err != nil {
		return nil, 0, wrap("maildir: open message", err)
	}
	if said := parseName(e.name).disk; e.seal != "" && info.Size() != said {
		f.Close()
		return nil, 0, fmt.Errorf("%w: %d octets, its name says %d", mailstore.ErrDamaged, info.Size(), said)
	}
	return f, info.Size(), nil
}

// Reread implements mailstore.SealedDelivery.
func (d *delivery) Reread() (io.ReadCloser, error) {
	if d.done || d.whole {
		return nil, fs.ErrClosed
	}
	if d.err != nil {
		return nil, d.err
	}
	d.buffer()
	if d.file == nil {
		return io.NopCloser(bytes.NewReader((*d.buf)[topMost:])), nil
	}
	if d.flush(*d.buf); d.err != nil {
		return nil, d.err
	}
	*d.buf = (*d.buf)[:0]
	f, err := os.Open(d.file.Name())
	if err == nil {
		if _, err = f.Seek(int64(d.place), io.SeekStart); err != nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, wrap("maildir: reread message", err)
	}
	return f, nil
}

// Replace implements mailstore.SealedDrop. The new form is given its name beside the old one, and only when
// that is durable is the old one removed: in between, and after a crash there, a listing shows the sealed one of two
// files of one message (reading.dedup), and whoever goes on removes the other (Leftovers).
func (m *maildrop) Replace(ctx context.Context, i int, seal *mailstore.Seal, write func(io.Writer) error) error {
	switch {
	case !m.open:
		return fs.ErrClosed
	case m.b.s.mode == ReadOnly:
		return mailstore.ErrReadOnly
	case i < 0 || i >= len(m.list):
		return fmt.Errorf("maildir: no message %d", i)
	}
	return wrap("maildir: replace message", m.replace(ctx, m.list[i], seal, write))
}

func (m *maildrop) replace(ctx context.Context, e *entry, seal *mailstore.Seal, write func(io.Writer) error) error {
	s, when := m.b.s, time.Time{}
	if _, info, err := m.openStat(e); err != nil {
		return err
	} else {
		when = info.ModTime()
	}
	d := &delivery{s: s, meta: mailstore.Meta{Seal: seal}, exact: seal != nil, home: m.b, boxes: []*box{m.b}}
	hold, err := s.c.Space().Begin(ctx, s.reserve, e.disk.Load(), d.lose)
	if err != nil {
		return err
	}
	d.hold = hold
	defer d.Abort()
	if err := write(d); err != nil {
		return err
	}
	d.buffer()
	if d.file == nil { // as all that is replaced does, it needs a name in tmp that a crash leaves behind
		d.flush((*d.buf)[topMost:])
		*d.buf = (*d.buf)[:0] // no room for a top, now that there is a file
		if d.err == nil && d.file == nil {
			d.err = errors.New("nothing was written")
		}
	}
	if d.err != nil {
		return d.err
	}
	if err := d.complete(nil); err != nil {
		return err
	}
	if d.wire != e.size.Load() {
		return fmt.Errorf("%w: %d octets, %d before", mailstore.ErrDamaged, d.wire, e.size.Load())
	}
	_ = os.Chtimes(d.file.Name(), when, when)
	return m.swap(ctx, e, d)
}

// openStat tells of a message's file.
func (m *maildrop) openStat(e *entry) (w where, info fs.FileInfo, err error) {
	err = m.find(e, func(at where) error {
		var err error
		w = at
		info, err = os.Lstat(m.b.sub(at.sub, at.name))
		return err
	})
	return w, info, err
}

// swap gives the new form its name and takes the old one's.
func (m *maildrop) swap(ctx context.Context, e *entry, d *delivery) error {
	w, _, err := m.openStat(e)
	if err != nil {
		return err
	}
	f := parseName(w.name)
	uid := ""
	if f.uid != base(w.name) {
		uid = f.uid
	}
	old := m.b.sub(w.sub, w.name)
	name := base(w.name) + sizeFields(d.disk, d.wire, d.exact, d.meta.Mark(), uid) + w.name[len(f.stable):]
	if len(name) > maxComponent {
		return fmt.Errorf("%w: its name would have %d characters", mailstore.ErrUnavailable, len(name))
	}
	err = d.s.c.Commit(ctx, &durable.Tx{Files: d.files(), Steps: []durable.Step{durable.Publish(d.file.Name(), m.b.sub(w.sub, name))}})
	if err != nil {
		return err
	}
	d.named = false // it stands in tmp no more
	return d.s.c.Commit(context.WithoutCancel(ctx), &durable.Tx{Steps: []durable.Step{durable.Remove(old)}})
}

// Leftovers removes, of messages that a crash has left in both forms while they were replaced, those that are sealed, or those
// that are not. The mailbox must be open, by m, and nobody may replace anything meanwhile.
func (m *maildrop) Leftovers(ctx context.Context, sealed bool) error {
	forms := make(map[string][2]bool)
	var all []where
	for _, sub := range []string{"new", "cur"} {
		names, err := messageNames(m.b.sub(sub, ""))
		if err != nil {
			return wrap("maildir: list mailbox", err)
		}
		for _, n := range names {
			all = append(all, where{sub, n})
			f := forms[base(n)]
			if parseName(n).seal != "" {
				f[1] = true
			} else {
				f[0] = true
			}
			forms[base(n)] = f
		}
	}
	var steps []durable.Step
	for _, w := range all {
		if f := forms[base(w.name)]; f[0] && f[1] && (parseName(w.name).seal != "") == sealed {
			steps = append(steps, durable.Remove(filepath.Join(m.b.dir, w.sub, w.name)))
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return wrap("maildir: replace messages", m.b.s.c.Commit(ctx, &durable.Tx{Steps: steps}))
}
