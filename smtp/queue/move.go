package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Move brings all entries of one spool into another, each as it is, and returns how many. One whose message cannot be read, such as a sealed one without its key,
// stays, and the error names the first of these; the others do not wait for it. What was moved before it was broken off is not
// moved again; an entry that was on its way then may be in both, and is taken from the first when Move is called again. Nobody
// else may use the first one meanwhile.
func Move(ctx context.Context, from, to Spool) (n int, err error) {
	var ids []string
	if err := from.Scan(ctx, func(id string, _ *State) error { ids = append(ids, id); return nil }); err != nil {
		return 0, err
	}
	var first error
	for _, id := range ids {
		err := moveOne(ctx, from, to, id)
		if isGone(err) {
			continue // its spool has put it aside, and told of it
		}
		if err == nil {
			n++
			continue
		}
		err = fmt.Errorf("move queue entry %s: %w", id, err)
		if !errors.As(err, new(unread)) || ctx.Err() != nil {
			return n, err
		}
		if first == nil {
			first = err
		}
	}
	return n, first
}

// unread is why one entry cannot be read, which says nothing about the others.
type unread struct{ error }

func (u unread) Unwrap() error { return u.error }

func moveOne(ctx context.Context, from, to Spool, id string) error {
	e, st, err := from.Load(ctx, id)
	if err != nil {
		return unread{err}
	}
	size := e.Params.Size
	w, err := to.Begin(ctx, e, st)
	if err == nil {
		err = moveText(ctx, from, w, id, size)
	}
	if s, ok := to.(Shared); ok && err == nil {
		wait := time.Duration(-1)
		if next := st.Next(); !next.IsZero() || !st.Held {
			wait = max(0, time.Until(next))
		}
		s.Release(id, wait, false)
	}
	if err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return from.Remove(ctx, id)
}

func moveText(ctx context.Context, from Spool, w Writer, id string, size int64) error {
	defer w.Abort()
	text, err := from.Open(ctx, id)
	if err != nil {
		return unread{err}
	}
	defer text.Close()
	n, err := io.Copy(w, text)
	if err == nil && n != size {
		err = fmt.Errorf("%d octets instead of %d", n, size)
	}
	if err != nil {
		return err
	}
	return w.Commit(ctx, nil)
}
