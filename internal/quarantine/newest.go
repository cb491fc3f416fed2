package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// What an operator sees of it at a page: some, at once, however much there is.

// Some are the newest of what was put aside.
type Some struct {
	Items  []Item // the newest first
	More   bool   // there may be more than these, or ctx has ended before all mailboxes were seen
	Locked int    // mailboxes that a mail program reads at this moment
	Unread error  // why some cannot be seen; nil: all can
}

// Newest returns the newest of what was put aside of an account, or ("") of all, most at most. What it has found when ctx ends is what it returns.
func (p *Places) Newest(ctx context.Context, of domains.Address, most int) (s Some) {
	boxes := p.boxes()
	if of != "" {
		boxes = p.boxesOf(of)
	}
	for _, name := range boxes {
		if ctx.Err() != nil {
			s.More = true
			break
		}
		more, err := p.newestIn(ctx, name, of, most, &s.Items)
		switch {
		case errors.Is(err, mailstore.ErrLocked):
			s.Locked++
		case err != nil && ctx.Err() == nil:
			s.Unread = err
		}
		s.More = s.More || more || err != nil && ctx.Err() != nil
	}
	slices.SortStableFunc(s.Items, func(a, b Item) int { return b.Since.Compare(a.Since) })
	if len(s.Items) > most {
		s.Items, s.More = s.Items[:most], true
	}
	return s
}

// newestIn adds the newest of one mailbox, most at most, and reports whether there may be more. One that cannot be read is told of, and keeps nobody from the others.
func (p *Places) newestIn(ctx context.Context, name, of domains.Address, most int, to *[]Item) (more bool, unread error) {
	box, err := p.Store.Open(ctx, name.String())
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	defer box.Close()
	found := 0
	for looked, i := 0, box.Len()-1; i >= 0; i-- {
		if found == most || looked == mostLooked || ctx.Err() != nil {
			return true, unread
		}
		looked++
		item, ok, err := p.item(ctx, name, box, i)
		if err = because(name, err); err != nil {
			unread = err
		} else if ok && (of == "" || slices.Contains(item.For, of)) {
			*to = append(*to, item)
			found++
		}
	}
	return false, unread
}

// ReleaseFrom is Release of a message in a mailbox.
func (p *Places) ReleaseFrom(ctx context.Context, name domains.Address, id string, anyway bool) (released Item, err error) {
	one := &Places{Store: p.Store, Boxes: make(map[domains.Address]domains.Address)}
	if of, ok := p.Boxes[name]; ok {
		one.Boxes[name] = of
	}
	return one.Release(ctx, id, anyway)
}
