//go:build linux

package storetest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"sync"

	"github.com/postrider-mail/postrider/mailstore"
)

var records = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

// logDelivery is a message on its way into the prototype: the record it will be,
// in memory.
type logDelivery struct {
	l      *logStore
	names  []string // of mailboxes
	uid    string   // that was asked for
	record *[]byte  // room for recordHeader, and the message
	done   bool
}

func (l *logStore) Create(_ context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	if err := l.group.err(); err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, errors.New("delivery without recipients")
	}
	var names []string
	for _, u := range users {
		name, err := logName(u)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	d := &logDelivery{l: l, names: names, uid: m.UID, record: records.Get().(*[]byte)}
	*d.record = append((*d.record)[:0], make([]byte, recordHeader)...)
	return d, nil
}

func (d *logDelivery) Exclude(users ...string) {
	for _, u := range users {
		name, _ := logName(u)
		d.names = slices.DeleteFunc(d.names, func(n string) bool { return n == name })
	}
}

// claim returns the id that was asked for, or "" if it cannot be had. Two at once
// could both have it: that is left to a real store.
func (b *logBox) claim(uid string) string {
	if len(uid) == 0 || len(uid) > 70 {
		return ""
	}
	for _, c := range []byte(uid) {
		if c < 0x21 || c > 0x7e {
			return ""
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if b.uid(e) == uid {
			return ""
		}
	}
	return uid
}

// uid is the message's id. mu must be held.
func (b *logBox) uid(e logEntry) string {
	if uid, ok := b.uids[e.seq]; ok {
		return uid
	}
	return "L" + strconv.FormatUint(e.seq, 36)
}

func (d *logDelivery) Write(p []byte) (int, error) {
	if d.done {
		return 0, fs.ErrClosed
	}
	*d.record = append(*d.record, p...)
	return len(p), nil
}

func (d *logDelivery) Commit(ctx context.Context, top []byte) error {
	if d.done {
		return fs.ErrClosed
	}
	defer d.Abort()
	if err := errors.Join(ctx.Err(), d.l.group.err()); err != nil {
		return err
	}
	if len(d.names) == 0 {
		return errors.New("delivery without recipients")
	}
	seq := d.l.seq.Add(1)
	head := binary.AppendUvarint(nil, uint64(len(d.names)))
	var boxes []*logBox
	var uids []string
	for _, name := range d.names {
		b := d.l.box(name)
		uid := b.claim(d.uid)
		boxes, uids = append(boxes, b), append(uids, uid)
		head = appendString(appendString(head, name), uid)
	}
	*d.record = slices.Insert(*d.record, recordHeader, append(head, top...)...)
	seal(*d.record, kindMessage, len(head), seq)
	seg, off, err := d.l.append(*d.record)
	if err != nil {
		return err
	}
	begin := recordHeader + len(head)
	e := logEntry{seq, off + int64(begin), uint32(len(*d.record) - begin), uint32(seg)}
	for i, b := range boxes {
		b.put(e, uids[i])
	}
	return nil
}

func (d *logDelivery) Abort() error {
	if !d.done {
		d.done = true
		if cap(*d.record) <= 128<<10 {
			records.Put(d.record)
		}
		d.record = nil
	}
	return nil
}

// logDrop is an open mailbox of the prototype.
type logDrop struct {
	l    *logStore
	b    *logBox
	user string
	list []logEntry
	gone map[int]bool
	open bool
}

func (l *logStore) Open(_ context.Context, user string) (mailstore.Maildrop, error) {
	name, err := logName(user)
	if err = errors.Join(err, l.group.err()); err != nil {
		return nil, err
	}
	b := l.box(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.locked {
		return nil, mailstore.ErrLocked
	}
	b.locked = true
	return &logDrop{l: l, b: b, user: name, list: b.entries[:len(b.entries):len(b.entries)], open: true}, nil
}

func (m *logDrop) Len() int { return len(m.list) }

func (m *logDrop) Size(i int) int64 { return int64(m.list[i].size) }

func (m *logDrop) UID(i int) string {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	return m.b.uid(m.list[i])
}

func (m *logDrop) Open(_ context.Context, i int) (io.ReadCloser, error) {
	if !m.open {
		return nil, fs.ErrClosed
	}
	if m.gone[i] {
		return nil, mailstore.ErrGone
	}
	return m.l.bodyAt(m.list[i]), nil
}

func (m *logDrop) Remove(_ context.Context, is []int) error {
	if !m.open {
		return fs.ErrClosed
	}
	if err := m.l.group.err(); err != nil {
		return err
	}
	gone := make(map[uint64]bool)
	for _, i := range is {
		if i < 0 || i >= len(m.list) {
			return fmt.Errorf("no message %d", i)
		}
		if !m.gone[i] {
			gone[m.list[i].seq] = true
		}
	}
	if len(gone) == 0 {
		return nil
	}
	r := binary.AppendUvarint(appendString(make([]byte, recordHeader), m.user), uint64(len(gone)))
	for seq := range gone {
		r = binary.AppendUvarint(r, seq)
	}
	seal(r, kindRemoval, len(r)-recordHeader, m.l.seq.Add(1))
	if _, _, err := m.l.append(r); err != nil {
		return err
	}
	m.b.drop(gone)
	if m.gone == nil {
		m.gone = make(map[int]bool)
	}
	for _, i := range is {
		m.gone[i] = true
	}
	return nil
}

func (m *logDrop) Close() error {
	if m.open {
		m.open = false
		m.b.mu.Lock()
		m.b.locked = false
		m.b.mu.Unlock()
	}
	return nil
}
