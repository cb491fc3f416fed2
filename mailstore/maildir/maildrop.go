package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/dirents"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// maildrop is one session's view: a frozen list. Where the files are may change
// under it, when another program marks a message as read; it finds them again.
type maildrop struct {
	b     *box
	lock  boxLocks // none in ReadOnly mode
	list  []*entry
	moved map[string]where // by base: files not where the list says
	open  bool
}

type where struct{ sub, name string }

// Open implements mailstore.Store.
func (s *Store) Open(ctx context.Context, user string) (mailstore.Maildrop, error) {
	b, err := s.box(user)
	if err != nil {
		return nil, err
	}
	m := &maildrop{b: b, open: true}
	if s.mode != ReadOnly {
		if m.lock, err = b.lockMade(ctx); err != nil {
			return nil, wrap("maildir: lock maildrop", err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	list, err := b.current()
	if err != nil {
		m.Close()
		return nil, err
	}
	m.list = list.entries
	return m, nil
}

// lockMade locks a mailbox, making it if it is not there. Without room to make it
// there is nothing in it either: the list is empty, and needs no lock.
func (b *box) lockMade(ctx context.Context) (l boxLocks, err error) {
	for try := 0; ; try++ {
		made := b.ensure(ctx)
		if made != nil && !noRoom(made) {
			return l, made
		}
		l, err = b.lock()
		if !errors.Is(err, fs.ErrNotExist) {
			return l, err
		}
		if made != nil {
			return l, nil
		}
		if try > 0 {
			return l, err
		}
		b.vanished() // somebody took the mailbox away
	}
}

func (m *maildrop) Len() int         { return len(m.list) }
func (m *maildrop) Size(i int) int64 { return m.list[i].size.Load() }
func (m *maildrop) UID(i int) string { return m.list[i].uid }

// Flags implements mailstore.Details.
func (m *maildrop) Flags(i int) string {
	return mailstore.CleanFlags(parseName(m.at(m.list[i]).name).flags)
}

// Received implements mailstore.Details: the name knows, else the file.
func (m *maildrop) Received(i int) time.Time {
	if sec := m.list[i].sec; sec > 0 {
		return time.Unix(sec, 0)
	}
	w := m.at(m.list[i])
	if info, err := os.Stat(m.b.sub(w.sub, w.name)); err == nil {
		return info.ModTime()
	}
	return time.Time{}
}

// at is where the message was last seen.
func (m *maildrop) at(e *entry) where {
	if w, ok := m.moved[base(e.name)]; ok {
		return w
	}
	return where{e.sub, e.name}
}

// Open implements mailstore.Maildrop. If the file is not as long as its name
// says, the name lied: the true size is noted, for Size and for the next
// session, and the file given out as it is. What another program wrote into a
// name is compared with the file the first time.
func (m *maildrop) Open(_ context.Context, i int) (io.ReadCloser, error) {
	if !m.open {
		return nil, fs.ErrClosed
	}
	if i < 0 || i >= len(m.list) {
		return nil, fmt.Errorf("maildir: no message %d", i)
	}
	e := m.list[i]
	if e.seal != "" {
		return nil, fmt.Errorf("maildir: open message %s: %w", e.name, mailstore.ErrSealed)
	}
	f, info, err := m.openFile(e)
	if err != nil {
		return nil, wrap("maildir: open message", err)
	}
	if info.Size() != e.disk.Load() || e.heard.Load() {
		if err := m.correct(e, f); err != nil {
			f.Close()
			return nil, wrap("maildir: open message", err)
		}
	}
	// As long on the wire as on the disk: nothing to convert.
	if e.exact || e.size.Load() == e.disk.Load() {
		return f, nil
	}
	return newLineReader(f), nil
}

// openFile opens a message's file, wherever that is by now.
func (m *maildrop) openFile(e *entry) (f *os.File, info fs.FileInfo, err error) {
	err = m.find(e, func(w where) error {
		var err error
		f, err = m.b.s.openOwned(m.b.sub(w.sub, w.name))
		return err
	})
	if err == nil {
		if info, err = f.Stat(); err != nil {
			f.Close()
		}
	}
	return f, info, err
}

// correct learns the sizes from the file itself.
func (m *maildrop) correct(e *entry, f *os.File) error {
	disk, wire, err := wireSize(f)
	if err != nil {
		return err
	}
	if e.exact {
		wire = disk
	}
	e.heard.Store(false)
	// Two sessions that only read may find out at the same time.
	was, more := e.disk.Swap(disk), wire-e.size.Swap(wire)
	if more != 0 || disk != was {
		m.b.s.log.Warn("file is not as long as its name says", "mailbox", m.b.user, "file", e.name, "octets", disk)
	}
	m.b.mu.Lock()
	e.guess = false
	l := m.b.list
	counted := l == nil || l.byBase[base(e.name)] == e // else the list has measured it anew
	if l != nil && counted {
		l.octets += more
	}
	m.b.mu.Unlock()
	if counted {
		m.b.addUse(0, more)
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// find runs do on the message's file, wherever that is by now. Another program
// may rename it at any moment, so finding and doing may need more than one try.
func (m *maildrop) find(e *entry, do func(where) error) error {
	for range 3 {
		if err := do(m.at(e)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		found, err := m.search(e)
		if err != nil {
			return err
		}
		if !found {
			return mailstore.ErrGone
		}
	}
	return mailstore.ErrGone
}

// search reads the directories again and notes where everything that moved is.
// A name is known by its base; where a mailbox repeats one, only a file not
// otherwise in the list can be the one that moved.
func (m *maildrop) search(e *entry) (bool, error) {
	known := make(map[where]bool, len(m.list))
	ambiguous := make(map[string]bool)
	bases := make(map[string]bool, len(m.list))
	for _, o := range m.list {
		known[where{o.sub, o.name}] = true
		k := base(o.name)
		ambiguous[k] = bases[k]
		bases[k] = true
	}
	moved := make(map[string]where)
	for _, sub := range []string{"new", "cur", "new"} { // twice: it may move back
		err := dirents.Read(m.b.sub(sub, ""), func(found *dirents.Entry) {
			w := where{sub, string(found.Name)}
			k := base(w.name)
			if bases[k] && !known[w] && found.Regular() && (k != base(e.name) || parseName(w.name).seal == e.seal) {
				moved[k] = w
			}
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	m.moved = moved
	w, ok := moved[base(e.name)]
	return ok && (!ambiguous[base(e.name)] || sameStable(w.name, e.name)), nil
}

func sameStable(a, b string) bool {
	a, _, _ = strings.Cut(a, colon)
	b, _, _ = strings.Cut(b, colon)
	return a == b
}

// Remove implements mailstore.Maildrop.
func (m *maildrop) Remove(ctx context.Context, is []int) error {
	return wrap("maildir: remove messages", m.change(ctx, is, m.remove))
}

// change does something to each of the messages and makes the directories
// durable, and those named beside.
func (m *maildrop) change(ctx context.Context, is []int, do func(*entry) error, beside ...string) error {
	switch {
	case !m.open:
		return fs.ErrClosed
	case m.b.s.mode == ReadOnly:
		return mailstore.ErrReadOnly
	case len(is) == 0:
		return nil
	}
	for _, i := range is {
		if i < 0 || i >= len(m.list) {
			return fmt.Errorf("no message %d", i)
		}
	}
	// Before anything is touched: a poisoned store must not pretend.
	if err := m.b.s.Err(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var first error
	done := make(map[int]bool, len(is))
	for _, i := range is {
		if done[i] {
			continue
		}
		done[i] = true
		if err := do(m.list[i]); err != nil && first == nil {
			first = err
		}
	}
	// Both directories: what another program moved or removed is not durable
	// before that either. And also after an error, for those that are done. Where
	// a message goes to comes before where it came from: a crash in between may
	// show it twice, but never nowhere.
	dirs := append(slices.Clip(beside), m.b.sub("cur", ""), m.b.sub("new", ""))
	err := m.b.s.c.Commit(context.WithoutCancel(ctx), &durable.Tx{Dirs: dirs})
	if first != nil {
		err = first
	}
	return err
}

func (m *maildrop) remove(e *entry) error {
	err := m.find(e, func(w where) error { return m.b.s.fs.Remove(m.b.sub(w.sub, w.name)) })
	if errors.Is(err, mailstore.ErrGone) {
		return nil
	}
	if err == nil {
		m.b.addUse(-1, -e.size.Load())
	}
	return err
}

// Close implements mailstore.Maildrop. Closing the file unlocks it.
func (m *maildrop) Close() error {
	if !m.open {
		return nil
	}
	m.open = false
	return m.lock.Close()
}
