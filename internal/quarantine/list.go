package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// Store is where the mailboxes are; a mailstore.Store is one.
type Store interface {
	Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error)
	Open(ctx context.Context, user string) (mailstore.Maildrop, error)
}

// Places are the mailboxes for mail that is put aside, and whose mail that is where a message does not say so. Its methods may be called
// concurrently; of two that want one mailbox one is told that it is locked.
type Places struct {
	Store Store
	Boxes map[domains.Address]domains.Address // "" where a mailbox is shared
}

// Item is a message that was put aside.
type Item struct {
	ID      string            `json:"id"`
	Mailbox domains.Address   `json:"mailbox"` // that it is in
	For     []domains.Address `json:"for"`     // whose mail it is
	Why     string            `json:"why"`
	Unsafe  bool              `json:"unsafe"` // a scanner has found something in it
	Sender  string            `json:"sender"` // of the envelope; empty is the null one
	From    string            `json:"from"`   // as its field has it
	Subject string            `json:"subject"`
	Size    int64             `json:"size"` // in octets
	Since   time.Time         `json:"since"`
}

// List returns all that is there, the oldest first. What can be seen is returned beside an error about mailboxes that cannot be.
func (p *Places) List(ctx context.Context) ([]Item, error) {
	all := []Item{}
	var errs []error
	for _, box := range p.boxes() {
		errs = append(errs, p.each(ctx, box, nil, func(_ mailstore.Maildrop, _ int, item Item) error {
			all = append(all, item)
			return nil
		}))
	}
	slices.SortStableFunc(all, func(a, b Item) int { return a.Since.Compare(b.Since) })
	return all, errors.Join(errs...)
}

// ErrUnknown: there is no message of this id.
var ErrUnknown = errors.New("there is no such message in quarantine")

// Show writes a message as it is there.
func (p *Places) Show(ctx context.Context, id string, to io.Writer) error {
	return p.find(ctx, id, func(box mailstore.Maildrop, i int, _ Item) error {
		r, err := box.Open(ctx, i)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(to, r)
		return err
	})
}

func (p *Places) boxes() []domains.Address { return slices.Sorted(maps.Keys(p.Boxes)) }

// find calls f for the message of an id.
func (p *Places) find(ctx context.Context, id string, f func(mailstore.Maildrop, int, Item) error) error {
	found := false
	var errs []error
	for _, name := range p.boxes() {
		errs = append(errs, p.each(ctx, name, []string{id}, func(box mailstore.Maildrop, i int, item Item) error {
			found = true
			return f(box, i, item)
		}))
	}
	if err := errors.Join(errs...); err != nil || found {
		return err
	}
	return fmt.Errorf("%s: %w", id, ErrUnknown)
}

// each calls f for the messages of a mailbox that were put aside, or those of these ids, until it returns an error. One that cannot be read keeps
// nobody from the others: the error about it is returned at the end, that about the first of them.
func (p *Places) each(ctx context.Context, name domains.Address, ids []string, f func(mailstore.Maildrop, int, Item) error) (unread error) {
	box, err := p.Store.Open(ctx, name.String())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer box.Close()
	for i := range box.Len() {
		if ids != nil && !slices.Contains(ids, box.UID(i)) {
			continue
		}
		item, ok, err := p.item(ctx, name, box, i)
		if err != nil || !ok {
			unread = cmp.Or(unread, because(name, err))
			continue
		}
		if err := because(name, f(box, i, item)); err != nil {
			return err
		}
	}
	return unread
}

// because says in which mailbox something went wrong. That a message is gone meanwhile is nothing wrong.
func because(name domains.Address, err error) error {
	if err == nil || errors.Is(err, mailstore.ErrGone) {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// mostHeader is how much of a header is looked at for a list, in octets.
const mostHeader = 64 << 10

func (p *Places) item(ctx context.Context, name domains.Address, box mailstore.Maildrop, i int) (item Item, ok bool, err error) {
	r, err := box.Open(ctx, i)
	if err != nil {
		return item, false, err
	}
	defer r.Close()
	header, _, err := rfc2822.Peek(r, mostHeader)
	if err != nil {
		return item, false, err
	}
	_, why, of, ok := read(header)
	if !ok {
		return item, false, nil
	}
	why, dangerous := strings.CutPrefix(why, unsafe)
	if owner := p.Boxes[name]; len(of) == 0 && owner != "" {
		of = []domains.Address{owner}
	}
	item = Item{ID: box.UID(i), Mailbox: name, For: of, Why: why, Unsafe: dangerous, Sender: sender(header), From: rfc2822.DecodeWords(header.Get("From")),
		Subject: rfc2822.DecodeWords(header.Get("Subject")), Size: box.Size(i)}
	if d, has := box.(mailstore.Details); has {
		item.Since = d.Received(i)
	}
	return item, true, nil
}

// sender is that of the envelope.
func sender(header *rfc2822.Section) string {
	path := header.Get("Return-Path")
	if len(path) > 1 && path[0] == '<' && path[len(path)-1] == '>' {
		return path[1 : len(path)-1]
	}
	return path
}
