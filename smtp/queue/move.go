package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Move brings all entries of one spool into another, each as it is, and returns how many. What was moved before it was broken off is not
// moved again; an entry that was on its way when the machine failed may be in both, and is taken from the first when Move is called again.
// What cannot be read stays where it is, and the error says so when the others are moved. Nobody else may use the first spool meanwhile.
func Move(ctx context.Context, from, to Spool) (n int, err error) {
	var ids []string
	if err := from.Scan(ctx, func(id string, _ *State) error { ids = append(ids, id); return nil }); err != nil {
		return 0, err
	}
	var unread error
	for _, id := range ids {
		err := ctx.Err()
		if err == nil {
			err = moveOne(ctx, from, to, id)
		}
		var stays cannotBeRead
		switch {
		case isGone(err): // its spool has put it aside, and told of it
		case errors.As(err, &stays) && ctx.Err() == nil:
			unread = cmp.Or(unread, fmt.Errorf("move queue entry %s: %w", id, err))
		case err != nil:
			return n, fmt.Errorf("move queue entry %s: %w", id, err)
		default:
			n++
		}
	}
	return n, unread
}

// cannotBeRead is an error of the spool that an entry is in.
type cannotBeRead struct{ error }

func (e cannotBeRead) Unwrap() error { return e.error }

func moveOne(ctx context.Context, from, to Spool, id string) error {
	e, st, err := from.Load(ctx, id)
	if err != nil {
		return cannotBeRead{err}
	}
	size := e.Params.Size
	w, err := to.Begin(ctx, e, st)
	if err == nil {
		err = moveText(ctx, from, w, id, size)
	}
	moved := err == nil
	if err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	// Also when ctx has ended meanwhile, and before others may send it: what is in both would be sent twice.
	err = from.Remove(detached(ctx), id)
	if s, ok := to.(Shared); ok && moved {
		wait := time.Duration(-1)
		if next := st.Next(); !next.IsZero() || !st.Held {
			wait = max(0, time.Until(next))
		}
		s.Release(id, wait, false)
	}
	return err
}

func moveText(ctx context.Context, from Spool, w Writer, id string, size int64) error {
	defer w.Abort()
	text, err := from.Open(ctx, id)
	if err != nil {
		return cannotBeRead{err}
	}
	defer text.Close()
	whole := &reads{r: text}
	n, err := io.Copy(w, whole)
	switch {
	case whole.err != nil:
		return cannotBeRead{whole.err}
	case err == nil && n != size:
		return cannotBeRead{fmt.Errorf("%d octets instead of %d", n, size)}
	case err != nil:
		return err
	}
	return w.Commit(ctx, nil)
}

// reads keeps why reading failed.
type reads struct {
	r   io.Reader
	err error
}

func (r *reads) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != io.EOF {
		r.err = err
	}
	return n, err
}
