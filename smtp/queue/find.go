package queue

import (
	"context"
	"strings"
)

// Find returns the ids of the entries that a name stands for, the oldest first: an
// entry's own id, or that of the message or the session that brought it, which is
// what a client was told. There may be none. A name that is no entry's id makes it
// look at every entry.
func (q *Queue) Find(ctx context.Context, name string) ([]string, error) {
	q.start()
	if name == "" {
		return nil, nil // reports of our own were brought by nobody
	}
	if _, _, _, err := q.look(ctx, name); err == nil || !isGone(err) {
		return []string{name}, err
	}
	if s := q.share(); s != nil {
		return s.Find(ctx, name)
	}
	var found []string
	for _, at := range q.oldest(0, false, beforeAll) {
		id := at.id
		e, _, _, err := q.look(ctx, id)
		switch {
		case isGone(err):
			continue // settled meanwhile
		case err != nil:
			return nil, err
		case e.Session == name || sessionOf(e.Session) == name:
			found = append(found, id)
		}
	}
	return found, nil
}

// sessionOf is the session that a transaction's id begins with, see smtp.Envelope.
func sessionOf(id string) string {
	return id[:max(0, strings.LastIndexByte(id, '-'))]
}
