package sink

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/rfc2822"
)

// Mirror is a Box that shows the mailbox of a real server. Nothing is put into it and nothing removed but what Refresh finds
// in the mailbox, and octets are read there. It is safe for concurrent use.
type Mirror struct {
	Box *Box

	address string
	open    func(context.Context) (mailstore.Maildrop, error)
	mu      sync.Mutex
	uids    map[string]string // by id
}

// mirrored bounds what is shown of a mailbox: the newest messages, and the octets that are kept to search them. A message of more than
// mostMirrored octets is shown by its beginning.
const (
	mirrored     = 1000
	mirroredText = 64 << 20
	mostMirrored = 16 << 20
)

// NewMirror makes one of the mailbox that open opens, for an account of this address. What is opened must lock nobody out.
func NewMirror(address string, open func(context.Context) (mailstore.Maildrop, error)) *Mirror {
	m := &Mirror{address: address, open: open, uids: make(map[string]string)}
	m.Box = NewBox(Limits{Messages: mirrored, Octets: mirroredText}, Sorting{})
	m.Box.keep = mirroring{m}
	return m
}

// Refresh looks what is in the mailbox now.
func (m *Mirror) Refresh(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	drop, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer drop.Close()
	there := make(map[string]string)
	for i := max(0, drop.Len()-mirrored); i < drop.Len(); i++ {
		id := mirrorID(drop.UID(i))
		there[id] = drop.UID(i)
		if _, known := m.uids[id]; !known {
			if err := m.take(ctx, drop, i, id); err != nil {
				delete(there, id) // the next look tries again
			}
		}
	}
	m.Box.mu.Lock()
	defer m.Box.mu.Unlock()
	for id := range m.uids {
		if gone := m.Box.byID[id]; there[id] == "" && gone != nil {
			m.Box.takeOut(gone)
		}
	}
	m.uids = there
	return ctx.Err()
}

// mirrorID is a message's id in paths: the store's own may be any text.
func mirrorID(uid string) string {
	sum := sha256.Sum256([]byte(uid))
	return base32.StdEncoding.EncodeToString(sum[:])[:22]
}

// take reads one message that is new.
func (m *Mirror) take(ctx context.Context, drop mailstore.Maildrop, i int, id string) error {
	raw, err := readMessage(ctx, drop, i)
	if err != nil {
		return err
	}
	e := Envelope{To: []string{m.address}, Host: "localhost"}
	if d, ok := drop.(mailstore.Details); ok {
		e.Received = d.Received(i)
	}
	if read, err := rfc2822.ReadString(string(raw)); err == nil {
		// The sender of the envelope stands on top, put there by whoever delivered it (RFC 5321 §4.4).
		e.From = strings.Trim(strings.TrimSpace(read.Header.Get("Return-Path")), "<>")
	}
	one := newMessage(id, e, raw)
	one.raw, one.Size, one.Inboxes = nil, drop.Size(i), []string{inboxName(m.address)}
	one.cost = int64(one.searched.size()) + costOfMessage
	m.Box.mu.Lock()
	defer m.Box.mu.Unlock()
	m.Box.insert(one, one.Received)
	m.Box.overflow(time.Now())
	return nil
}

func readMessage(ctx context.Context, drop mailstore.Maildrop, i int) ([]byte, error) {
	r, err := drop.Open(ctx, i)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, mostMirrored))
}

// mirroring reads the octets of messages where they are.
type mirroring struct{ *Mirror }

func (m mirroring) octets(of *Message) ([]byte, error) {
	ctx := context.Background()
	drop, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	defer drop.Close()
	for i := drop.Len() - 1; i >= 0; i-- {
		if mirrorID(drop.UID(i)) == of.ID {
			return readMessage(ctx, drop, i)
		}
	}
	return nil, ErrNotFound
}

func (mirroring) put(context.Context, *Message, []byte) error {
	return fmt.Errorf("a mailbox is only shown here")
}
func (mirroring) remove([]*Message) error           { return nil }
func (mirroring) noteRules(map[string]string) error { return nil }
func (mirroring) noteMade(map[string]*Made) error   { return nil }
func (m mirroring) where() string                   { return m.address }
func (mirroring) note([]*Message) error             { return nil }
