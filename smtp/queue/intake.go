package queue

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// Begin starts an entry whose message is then written to the Writer. When the
// Writer's Commit has returned nil, the entry is on stable storage and due at
// once. An error that is ErrFull says that there is no room now.
func (q *Queue) Begin(ctx context.Context, e *Entry) (Writer, error) {
	if err := q.Room(ctx, e.Params.Size); err != nil {
		return nil, err
	}
	return q.begin(ctx, e)
}

func (q *Queue) begin(ctx context.Context, e *Entry) (Writer, error) {
	q.start()
	e = e.Clone()
	if e.Queued.IsZero() {
		e.Queued = time.Now()
	}
	e.Queued = stamp(e.Queued)
	if !e.Params.HoldUntil.IsZero() {
		e.Params.HoldUntil = stamp(e.Params.HoldUntil)
	}
	if e.Params.By != nil {
		e.Params.By.By = stamp(e.Params.By.By)
	}
	if e.ID == "" {
		e.ID = NewID(e.Queued)
	}
	if err := e.Check(); err != nil {
		return nil, err
	}
	st, first := NewState(e), e.Hold == "" && q.isRunning() && e.Params.HoldUntil.Before(time.Now())
	if first {
		q.recordFirst(e, st)
	}
	w, err := q.Spool.Begin(ctx, e, st)
	if err != nil {
		return nil, err
	}
	return &writer{Writer: w, q: q, e: e, st: st, first: first}, nil
}

// recordFirst writes the first attempt down together with the entry: it will be
// made as soon as the entry is committed, and one write does for both.
func (q *Queue) recordFirst(e *Entry, st *State) {
	now := time.Now()
	for i := range st.To {
		st.To[i].Attempts = 1
		next, _ := q.next(e, e.To[i], 1, now, chance())
		st.To[i].Next = stamp(next)
	}
}

func (q *Queue) isRunning() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state == running
}

// writer lets the queue know of what its spool has committed.
type writer struct {
	Writer
	q    *Queue
	e    *Entry
	st   *State
	size int64
	// first: the first attempt is written down.
	first bool
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.size += int64(n)
	return n, err
}

func (w *writer) Commit(ctx context.Context, top []byte) error {
	if err := w.Writer.Commit(ctx, top); err != nil {
		return err
	}
	w.committed(ctx, top)
	return nil
}

// CommitAll commits several Writers that Begin returned, each with its top: the entries
// of one message. When it returns nil all are on stable storage, and due at once. When it
// returns an error, none is queued if the Spool is Together, and otherwise those before
// the first that failed are.
func (q *Queue) CommitAll(ctx context.Context, writers []Writer, tops [][]byte) error {
	together, ok := q.Spool.(Together)
	if !ok || len(writers) < 2 {
		for i, w := range writers {
			if err := w.Commit(ctx, tops[i]); err != nil {
				return err
			}
		}
		return nil
	}
	spooled := make([]Writer, len(writers))
	for i, w := range writers {
		spooled[i] = w.(*writer).Writer
	}
	if err := together.CommitAll(ctx, spooled, tops); err != nil {
		return err
	}
	for i, w := range writers {
		w.(*writer).committed(ctx, tops[i])
	}
	return nil
}

// committed has the entry, which is on stable storage, delivered.
func (w *writer) committed(ctx context.Context, top []byte) {
	w.size += int64(len(top))
	w.e.Params.Size, w.st.Size = w.size, w.size
	if w.q.accept(w.e, w.st, w.first) && w.first {
		// The queue has ended meanwhile: see giveBack.
		if err := w.q.update(detached(ctx), w.e.ID, Order{Kind: toUnattempt}); err != nil && !isGone(err) {
			w.q.log().Warn("first attempt cannot be taken back", "queue", w.e.ID, "err", err)
		}
	}
}

// Submit queues a whole message. When it returns nil, the entry is on stable
// storage.
func (q *Queue) Submit(ctx context.Context, e *Entry, message io.Reader) error {
	w, err := q.Begin(ctx, e)
	if err != nil {
		return err
	}
	return fill(ctx, w, message)
}

func fill(ctx context.Context, w Writer, message io.Reader) error {
	defer w.Abort()
	if _, err := io.Copy(w, message); err != nil {
		return fmt.Errorf("queue message: %w", err)
	}
	return w.Commit(ctx, nil)
}

// accept takes up an entry that has just been committed. While there is room
// in memory it need not be loaded again. late: nothing is delivered any more.
func (q *Queue) accept(e *Entry, st *State, first bool) (late bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count.accepted++
	it := q.index[e.ID]
	switch {
	case it == nil:
		it = newItem(e.ID, st)
		q.add(it)
	case it.state == itemLoaded || it.state == itemClaimed:
		// The scan has seen it, and somebody is at work on it; or on one of the
		// same id that is about to be forgotten.
		it.wishes |= renewed
		return false
	default:
		q.wait.take(it) // the scan took its first attempt for made
	}
	if first {
		it.fresh, it.next = true, it.queued
	}
	if q.state == running && q.loaded < q.maxLoaded() && it.next <= time.Now().UnixNano() {
		q.take(it, e, st)
		q.dispatch()
		return false
	}
	q.file(it)
	return q.state == stopped && q.share() == nil // where it is given back, it is so unattempted
}

func (q *Queue) add(it *item) {
	q.index[it.id] = it
	q.octets += it.size
}

func (q *Queue) forget(it *item) {
	if it.wishes&renewed != 0 {
		it.wishes &^= renewed | removed
		it.next, it.state, it.listed = time.Now().UnixNano(), itemWaiting, false
		q.file(it) // to be looked for once more
		return
	}
	it.state = itemGone
	q.tellClaimants()
	q.wait.take(it)
	if q.index[it.id] == it {
		delete(q.index, it.id)
		q.octets -= it.size
	}
}

// NewID makes an id for an entry queued at t: later ones sort after earlier
// ones, and nobody can guess one.
func NewID(t time.Time) string {
	stamp := strconv.FormatInt(t.UnixMicro()|1<<52, 36) // of constant length for a century
	const least = 36 * 36 * 36 * 36 * 36 * 36 * 36      // of eight digits
	return stamp + strconv.FormatUint(least+rand.Uint64N(35*least), 36)
}
