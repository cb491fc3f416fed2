package trace

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	// disorder is how much later a line may stand in the log than its time says.
	disorder = time.Minute
	// longestMail is how long before it was taken the first line about a message may be.
	longestMail = 24 * time.Hour
)

// Found is what a log says.
type Found struct {
	Ways []*Way // in the order in which something happened to them first
	// More is the time of the line with which there would have been more of them than were asked for; zero: there was none.
	More time.Time
	// Left is what was not looked at; nil: nothing that could be of interest.
	Left *Left
}

// Find looks for messages: it reads the log from its end for what fits, until there are enough; then for all that
// belongs to it, until these have begun; and then for what was done to their entries in the queue. If ctx
// ends it returns what it has.
func Find(ctx context.Context, log Log, q Query) (*Found, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	f := &finding{
		q: q, Found: &Found{}, byID: make(map[string]*Way), bySession: make(map[string][]*Way), byQueue: make(map[string]*Way),
	}
	left, err := unread(log.Lines(ctx, q.hint(), f.want))
	if f.Left = left; err != nil || len(f.Ways) == 0 {
		return f.Found, err
	}
	if left, err = unread(log.Lines(ctx, f.hint(), f.add)); err != nil {
		return nil, err
	}
	f.begunBefore(left)
	if len(f.byQueue) > 0 {
		if _, err = unread(log.Lines(ctx, f.entries(), f.addCommand)); err != nil {
			return nil, err
		}
	}
	f.order()
	return f.Found, nil
}

// finding is what has been found so far.
type finding struct {
	*Found
	q         Query
	byID      map[string]*Way
	bySession map[string][]*Way
	byQueue   map[string]*Way
}

// unread is what of an error says only that not all was read.
func unread(err error) (*Left, error) {
	if left := (*Left)(nil); errors.As(err, &left) {
		return left, nil
	}
	return nil, err
}

// begunBefore marks the messages of which what was not read may have lines.
func (f *finding) begunBefore(left *Left) {
	for _, w := range f.Ways {
		if left != nil && (w.began.IsZero() || left.Before.IsZero() || w.began.Before(left.Before)) {
			w.Earlier = true
		}
	}
}

// hint says which lines can fit.
func (q *Query) hint() Hint {
	words := append(wordsOf(q.Term), wordsOf(q.From)...)
	if q.From == "" { // else To is not asked of every line
		words = append(words, wordsOf(q.To)...)
	}
	if len(words) == 0 {
		return nil
	}
	return Hint{words}
}

// want takes a line, and notes the message that it is about, or the session where there is no message, if it fits.
func (f *finding) want(l Line) bool {
	if !f.q.Since.IsZero() && !l.Time.IsZero() && l.Time.Before(f.q.Since.Add(-disorder)) {
		return false
	}
	if !f.q.fits(l) {
		return true
	}
	id, session := idOf(l), sessionOf(l)
	key := id
	if id == "" {
		key = session
	}
	if key == "" || f.byID[key] != nil {
		return true
	}
	if len(f.Ways) == f.q.Limit {
		f.More = l.Time
		return false
	}
	w := &Way{ID: id, Session: session}
	f.Ways, f.byID[key] = append(f.Ways, w), w
	f.bySession[session] = append(f.bySession[session], w)
	unique := f.q.Term != "" && id != "" && (f.q.Term == id || f.q.Term == entryOf(l))
	return !unique // there is no other message of that name
}

// hint says which lines can belong to what was found.
func (f *finding) hint() (h Hint) {
	for _, w := range f.Ways {
		for _, name := range []string{w.ID, w.Session} {
			if name != "" {
				h = append(h, wordsOf(name))
			}
		}
	}
	return h
}

// entries says which lines can be about entries of the queue.
func (f *finding) entries() (h Hint) {
	for entry := range f.byQueue {
		h = append(h, wordsOf(entry))
	}
	return h
}

// addCommand takes a line that names an entry of the queue and no message.
func (f *finding) addCommand(l Line) bool {
	if w := f.byQueue[entryOf(l)]; w != nil && idOf(l) == "" {
		f.give(w, l)
	}
	return f.more(l)
}

// add takes a line, and gives it to the message it belongs to by its id; without one to its
// session, and the session's summary to each of its messages, too. It reports whether there can be any before.
func (f *finding) add(l Line) bool {
	id, entry := idOf(l), entryOf(l)
	if w := f.byID[id]; id != "" && w != nil {
		f.give(w, l)
		if entry != "" && f.byQueue[entry] == nil {
			f.byQueue[entry] = w
			w.Queue = append(w.Queue, entry)
		}
		if begins(l) && w.began.IsZero() {
			w.began = l.Time.Add(-longestMail)
		}
		return f.more(l)
	}
	if id != "" || entry != "" {
		return f.more(l)
	}
	for _, w := range f.bySession[sessionOf(l)] {
		if w.ID == "" || isSummary(l) {
			f.give(w, l)
		}
		if took, err := time.ParseDuration(l.Facts["took"]); err == nil && isSummary(l) {
			w.began = l.Time.Add(-took)
		}
	}
	return f.more(l)
}

// give adds a line to those of a message.
func (f *finding) give(w *Way, l Line) {
	if f.q.Lines > 0 && len(w.Lines) >= f.q.Lines {
		w.Earlier = true
		return
	}
	w.Lines = append(w.Lines, l)
}

// begins reports whether a line is one of those by which a message begins to be somewhere.
func begins(l Line) bool {
	switch l.Event {
	case "delivered", "queued", "message accepted", "refused":
		return true
	}
	return false
}

// more reports whether some message can have lines before this one.
func (f *finding) more(l Line) bool {
	return l.Time.IsZero() || slices.ContainsFunc(f.Ways, func(w *Way) bool {
		return w.began.IsZero() || l.Time.After(w.began.Add(-disorder))
	})
}

// order puts the lines of each message, and the messages, into the order in which they happened.
func (f *finding) order() {
	by := func(a, b int64) int { return int(min(1, max(-1, a-b))) }
	for _, w := range f.Ways {
		slices.SortStableFunc(w.Lines, func(a, b Line) int { return by(a.at, b.at) })
		slices.Reverse(w.Queue)
	}
	slices.Reverse(f.Ways)
	slices.SortStableFunc(f.Ways, func(a, b *Way) int {
		if len(a.Lines) == 0 || len(b.Lines) == 0 {
			return 0
		}
		return by(a.Lines[0].at, b.Lines[0].at)
	})
}
