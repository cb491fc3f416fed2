package sink

import (
	"context"
	"slices"
	"time"
)

// EventKind says what happened to a Box.
type EventKind int

// What can happen.
const (
	Arrived EventKind = iota + 1 // a message came
	Changed                      // its read state or its tags did
	Removed                      // it is gone
	Pruned                       // so much has changed that lists are to be read again
	Emptied                      // all messages are gone
	Failed                       // a client was refused something
)

// Event is one thing that happened.
type Event struct {
	Kind    EventKind
	ID      string   // of the message
	Message *Message // as it is now; nil when it is gone
	Failure Failure  // of Failed
	inboxes []string
	// elsewhere says that a Removed message has left this inbox only.
	elsewhere bool
}

// Failure is a refusal that a client heard.
type Failure struct {
	Service, Client, Text string
}

// In reports whether the event is about an inbox; "" is about everything.
func (e *Event) In(inbox string) bool {
	return inbox == "" && !e.elsewhere || e.Kind == Pruned || e.Kind == Emptied || slices.Contains(e.inboxes, inbox)
}

// watchers hear of what happens.
type watchers map[chan Event]struct{}

// mostBehind is how many events a watcher may be behind. Who is further behind is told to
// read all again.
const mostBehind = 1000

// Watch gives what happens from now on, until stop is called. A watcher that
// does not keep up misses events, and is told Pruned in their place.
func (b *Box) Watch() (events <-chan Event, stop func()) {
	c := make(chan Event, mostBehind)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watch == nil {
		b.watch = make(watchers)
	}
	b.watch[c] = struct{}{}
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watch, c)
	}
}

// Fail tells the watchers of a refusal.
func (b *Box) Fail(f Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tell(Event{Kind: Failed, Failure: f})
}

// happened is called with the lock held, with every change.
func (b *Box) happened(e Event) {
	close(b.changed)
	b.changed = make(chan struct{})
	b.tell(e)
}

func (b *Box) tell(e Event) {
	for c := range b.watch {
		// The last place is for the word that something is missing.
		switch len(c) {
		case mostBehind:
		case mostBehind - 1:
			c <- Event{Kind: Pruned}
		default:
			c <- e
		}
	}
}

// Wait waits until so many messages of an inbox match, and returns them, the oldest first. When
// ctx ends before that it returns those there are, and how many are in the inbox.
func (b *Box) Wait(ctx context.Context, inbox string, s *Search, since time.Time, count int) (found []Message, seen int) {
	for {
		b.mu.RLock()
		changed := b.changed
		found, seen = nil, 0
		for _, m := range b.list(inbox) {
			if m.Received.Before(since) {
				continue
			}
			seen++
			if b.matches(s, m) {
				found = append(found, b.copied(m))
			}
		}
		b.mu.RUnlock()
		if len(found) >= count {
			return found, seen
		}
		select {
		case <-ctx.Done():
			return found, seen
		case <-changed:
		}
	}
}
