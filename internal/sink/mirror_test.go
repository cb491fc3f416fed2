package sink

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// mailbox is one of a store, in memory.
type mailbox struct {
	uids  []string
	texts map[string]string
	err   error
}

func (b *mailbox) open(context.Context) (mailstore.Maildrop, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b, nil
}
func (b *mailbox) Len() int         { return len(b.uids) }
func (b *mailbox) Size(i int) int64 { return int64(len(b.texts[b.uids[i]])) }
func (b *mailbox) UID(i int) string { return b.uids[i] }
func (b *mailbox) Open(_ context.Context, i int) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(b.texts[b.uids[i]])), nil
}
func (b *mailbox) Remove(context.Context, []int) error { panic("a mirror removes nothing") }
func (b *mailbox) Close() error                        { return nil }
func (b *mailbox) Flags(int) string                    { return "" }
func (b *mailbox) Received(int) time.Time              { return time.Now() }

// TestMirror: what is in a mailbox is there, what has left it is not, and nothing is changed there.
func TestMirror(t *testing.T) {
	b := &mailbox{texts: make(map[string]string)}
	add := func(uid, text string) { b.uids, b.texts[uid] = append(b.uids, uid), text }
	m := NewMirror("bob@x.test", b.open)
	subjects := func() string {
		if err := m.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, found := range m.Box.Find(Query{Limit: -1}).Messages {
			all = append(all, found.Subject)
		}
		return strings.Join(all, " ")
	}
	add("1/../2", "Return-Path: <a@b.test>\r\nSubject: one\r\n\r\nbody\r\n")
	add("2", "Subject: two\r\n\r\nbody\r\n")
	if got := subjects(); got != "two one" {
		t.Fatalf("%q", got)
	}
	one, err := m.Box.Newest("bob@x.test", ParseSearch("subject:one", time.UTC))
	if err != nil || one.Envelope.From != "a@b.test" || strings.ContainsAny(one.ID, "/.") {
		t.Errorf("%+v %v", one, err)
	}
	if kept := m.Box.byID[one.ID]; kept.raw != nil || m.Box.octets < 2*costOfMessage {
		t.Errorf("the message itself is kept, or what is kept of it counts for nothing: %d octets", m.Box.octets)
	}
	if raw, err := m.Box.Octets("", one.ID); string(raw) != b.texts["1/../2"] || err != nil {
		t.Errorf("%q %v", raw, err)
	}
	add("3", "Subject: three\r\n\r\n")
	b.uids = b.uids[1:]
	if got := subjects(); got != "three two" {
		t.Errorf("%q", got)
	}
	if _, err := m.Box.Octets("", one.ID); err == nil {
		t.Error("a message is read that is gone")
	}
	if err := m.Box.Put(t.Context(), NewID(), Envelope{}, []byte("\r\n")); err == nil {
		t.Error("a message was put into it")
	}
	for i := range mirrored {
		add(fmt.Sprint("n", i), "Subject: x\r\n\r\n")
	}
	if subjects(); m.Box.Find(Query{}).Total != mirrored || len(m.uids) != mirrored {
		t.Errorf("%d, %d", m.Box.Find(Query{}).Total, len(m.uids))
	}
	b.err = io.ErrUnexpectedEOF
	if err := m.Refresh(t.Context()); err == nil {
		t.Error("a mailbox that cannot be opened is no fault")
	}
}
