package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore/database"
)

// entry is one message of a list.
type entry struct {
	uid      int64 // of IMAP's kind: a number
	size     int64
	body     database.ID
	received int64  // microseconds since 1970
	uidl     string // empty: made of body
	flags    string
	changed  int64 // microseconds, 0 if never
}

func (e *entry) id() string {
	if e.uidl != "" {
		return e.uidl
	}
	return e.body.String()
}

// list is what a mailbox held at some version of it, on a server: after a failover the number may come again, for something else. It is
// never changed.
type list struct {
	version int64
	server  int64 // its timeline
	entries []entry
}

// lists are those that are kept, so that a mailbox that has not changed is not read again.
type lists struct {
	most int // messages in all

	mu  sync.Mutex
	all map[int64]*list // by box
	sum int
}

func (l *lists) get(k *lock) *list {
	l.mu.Lock()
	defer l.mu.Unlock()
	if is := l.all[k.box]; is != nil && is.version == k.version && is.server == k.server {
		return is
	}
	return nil
}

// put keeps a list, and forgets others where it becomes too much.
func (l *lists) put(box int64, is *list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[int64]*list)
	}
	l.forget(box)
	if len(is.entries) > l.most {
		return
	}
	for other := range l.all { // in no order, which is as good as any
		if l.sum+len(is.entries) <= l.most {
			break
		}
		l.forget(other)
	}
	l.all[box], l.sum = is, l.sum+len(is.entries)
}

func (l *lists) forget(box int64) {
	if was := l.all[box]; was != nil {
		l.sum -= len(was.entries)
		delete(l.all, box)
	}
}

// readList reads what a mailbox or a folder holds, in one statement and so as of one moment.
func (s *Store) readList(ctx context.Context, where string, args ...any) ([]entry, error) {
	rows, err := s.pool.Query(ctx, s.in(`select m.uid, m.size, m.body, m.received, m.uidl, m.flags, m.changed from $.msg m `+where+` order by m.received, m.uid`), args...)
	if err != nil {
		return nil, err
	}
	var (
		all      []entry
		e        entry
		received time.Time
		body     database.ID
		uidl     *string
		changed  *time.Time
	)
	_, err = pgx.ForEachRow(rows, []any{&e.uid, &e.size, &body, &received, &uidl, &e.flags, &changed}, func() error {
		is := e
		is.body, is.received = body, received.UnixMicro()
		if uidl != nil {
			is.uidl = *uidl
		}
		if changed != nil {
			is.changed = changed.UnixMicro()
		}
		all = append(all, is)
		return nil
	})
	return all, err
}
