package sink

import (
	"errors"
	"slices"
)

// Delete removes messages, by their ids, from an inbox; from "", everywhere. Ids
// that are not there change nothing. A message is gone for good once it is in none
// of the inboxes it was put into.
func (b *Box) Delete(inbox string, ids ...string) error {
	b.mu.Lock()
	var ms []*Message
	for _, id := range ids {
		if m, err := b.find(inbox, id); err == nil {
			ms = append(ms, m)
		}
	}
	return b.deleteThese(inbox, ms)
}

// DeleteAll removes every message that the search finds; nil finds all.
func (b *Box) DeleteAll(inbox string, s *Search) error {
	b.mu.Lock()
	var ms []*Message
	for _, m := range b.list(inbox) {
		if b.matches(s, m) {
			ms = append(ms, m)
		}
	}
	return b.deleteThese(inbox, ms)
}

// mostTold is how many messages are told one by one when they go.
const mostTold = 200

// deleteThese is called with the lock held, and lets go of it.
func (b *Box) deleteThese(inbox string, ms []*Message) error {
	ms = each(ms)
	whole := len(ms) > 0 && len(ms) == len(b.list(inbox))
	var gone, left []*Message
	var events []Event
	for _, m := range ms {
		was := m.Inboxes
		if b.leave(inbox, m) {
			gone = append(gone, m)
			events = append(events, Event{Kind: Removed, ID: m.ID, inboxes: was})
		} else {
			left = append(left, m)
			events = append(events, Event{Kind: Removed, ID: m.ID, inboxes: []string{inbox}, elsewhere: true})
		}
	}
	b.counts.Deleted += uint64(len(gone))
	switch {
	case whole && inbox == "":
		events = []Event{{Kind: Emptied}}
	case len(ms) > mostTold:
		events = []Event{{Kind: Pruned}}
	}
	for _, e := range events {
		b.happened(e)
	}
	noted := b.keep.note(left) // under the lock, so that it comes before the next change
	b.mu.Unlock()
	return errors.Join(noted, b.keep.remove(gone))
}

// each is a list without what stands in it twice.
func each(ms []*Message) []*Message {
	seen := make(map[*Message]bool, len(ms))
	return slices.DeleteFunc(ms, func(m *Message) bool {
		twice := seen[m]
		seen[m] = true
		return twice
	})
}

// leave takes a message out of an inbox and reports whether it is in none any more.
func (b *Box) leave(inbox string, m *Message) bool {
	if inbox != "" {
		b.shrink(inbox, m)
		m.Inboxes = slices.DeleteFunc(slices.Clone(m.Inboxes), func(name string) bool { return name == inbox })
		if len(m.Inboxes) > 0 {
			return false
		}
	}
	b.takeOut(m)
	return true
}

// Mark sets the read state of messages of an inbox; no ids mean those that the
// search finds.
func (b *Box) Mark(inbox string, read bool, s *Search, ids ...string) error {
	return b.change(inbox, s, ids, func(m *Message) bool {
		was := m.Read
		m.Read = read
		return was != read
	})
}

// Tag replaces the tags of messages.
func (b *Box) Tag(inbox string, tags []string, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	clean := cleanTags(tags)
	return b.change(inbox, nil, ids, func(m *Message) bool {
		same := slices.Equal(m.Tags, clean)
		m.Tags = clean
		return !same
	})
}

// Retag renames a tag in an inbox; to "" takes it away. ErrNotFound says that no message
// has it.
func (b *Box) Retag(inbox, from, to string) error {
	found := false
	err := b.change(inbox, nil, nil, func(m *Message) bool {
		if !hasTag(m.Tags, from) {
			return false
		}
		found = true
		left := slices.DeleteFunc(slices.Clone(m.Tags), func(t string) bool { return folded(t) == folded(from) })
		m.Tags = cleanTags(append(left, to))
		return true
	})
	if err == nil && !found {
		return ErrNotFound
	}
	return err
}

// change lets fn change messages, tells who watches, and keeps it.
func (b *Box) change(inbox string, s *Search, ids []string, fn func(*Message) bool) error {
	b.mu.Lock()
	var ms, changed []*Message
	if len(ids) == 0 {
		ms = b.list(inbox)
	}
	for _, id := range ids {
		if m, err := b.find(inbox, id); err == nil {
			ms = append(ms, m)
		}
	}
	if len(ids) > 0 {
		ms = each(ms)
	}
	for _, m := range ms {
		if (len(ids) > 0 || b.matches(s, m)) && fn(m) {
			changed = append(changed, m)
		}
	}
	for _, m := range changed {
		if len(changed) > mostTold {
			b.happened(Event{Kind: Pruned})
			break
		}
		told := b.copied(m)
		b.happened(Event{Kind: Changed, ID: m.ID, Message: &told, inboxes: told.Inboxes})
	}
	defer b.mu.Unlock()
	return b.keep.note(changed)
}
