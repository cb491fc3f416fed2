package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// writer is an entry on its way into the queue.
type writer struct {
	s      *Spool
	ctx    context.Context // of Begin: a piece of a large message is written under it
	e      *queue.Entry
	st     *queue.State
	text   database.Text
	claim  int64
	top    []byte
	failed error
	lost   error // of its pieces
	over   bool
}

// Begin implements queue.Spool. Whether there is an entry of that id is for Commit to say: a question here would cost as much as that.
func (s *Spool) Begin(ctx context.Context, e *queue.Entry, st *queue.State) (queue.Writer, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	if err := s.Room(ctx, e.Params.Size); err != nil {
		return nil, err
	}
	return &writer{s: s, ctx: ctx, e: e.Clone(), st: st.Clone(), text: database.Text{ID: database.NewID()}, claim: time.Now().UnixMicro()}, nil
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.over {
		return 0, errors.New("postgres: write after the end of an entry")
	}
	if w.failed != nil {
		return 0, w.failed
	}
	n, err := w.s.pieces.Write(w.ctx, &w.text, p)
	w.failed = failed("write message", err)
	return n, w.failed
}

// Commit implements queue.Writer.
func (w *writer) Commit(ctx context.Context, top []byte) error {
	if err := w.ready(ctx); err != nil {
		return err
	}
	return w.made(w.s.apply(ctx, w.change(top))[0])
}

// CommitAll implements queue.Together: one transaction makes all entries.
func (s *Spool) CommitAll(ctx context.Context, writers []queue.Writer, tops [][]byte) (err error) {
	own, all := make([]*writer, len(writers)), make([]*change, len(writers))
	for i := range writers {
		w, ok := writers[i].(*writer)
		switch {
		case err != nil:
		case !ok || w.s != s:
			err = fmt.Errorf("postgres: not a writer of this spool: %T", writers[i])
		default:
			own[i], err = w, w.ready(ctx)
		}
	}
	if err != nil {
		for _, w := range writers {
			w.Abort()
		}
		return err
	}
	for i, w := range own {
		all[i] = w.change(tops[i])
	}
	errs := s.apply(ctx, all...)
	for i, w := range own {
		err = cmp.Or(err, w.made(errs[i]))
	}
	if err == nil {
		return nil
	}
	for i, w := range own { // one of them was there already: it takes the others back
		if errs[i] == nil {
			err = errors.Join(err, s.Discard(context.WithoutCancel(ctx), w.e.ID))
		}
	}
	return err
}

// ready writes what is left of a large message. On an error the entry is over.
func (w *writer) ready(ctx context.Context) (err error) {
	switch {
	case w.over:
		return fmt.Errorf("postgres: the entry is over: %w", queue.ErrClosed)
	case w.failed != nil:
		return w.failed
	}
	if err = ctx.Err(); err == nil {
		err = failed("write message", w.s.pieces.End(ctx, &w.text, database.PieceSize))
	}
	if err != nil {
		w.Abort()
	}
	return err
}

// change is what makes the entry.
func (w *writer) change(top []byte) *change {
	w.over = true
	w.top = append([]byte{}, top...)
	w.e.Params.Size = w.text.Octets + int64(len(top))
	w.st.Size = w.e.Params.Size
	return &change{id: w.e.ID, new: w}
}

// made takes note of what became of the entry.
func (w *writer) made(err error) error {
	w.text.Rest = nil
	if err == nil {
		if !w.s.held.put(w.e.ID, w.claim, 0) { // there was one of this id a moment ago
			w.s.giveBack(free{id: w.e.ID, number: w.claim, wait: new(time.Second)})
		}
		w.s.counted.add(w.e.Params.Size)
	}
	return err
}

// Abort implements queue.Writer.
func (w *writer) Abort() error {
	if !w.over {
		w.over = true
		w.s.pieces.Drop(w.s.ends, &w.text, w.s.log)
	}
	return nil
}

// Open implements queue.Spool. That the entry is still this node's is asked for anew: what is about to be sent must not be sent by
// another, too.
func (s *Spool) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	k := s.held.get(id)
	if k.number == 0 {
		return nil, queue.ErrNotFound
	}
	r := &reader{s: s, ctx: ctx, id: id}
	var first []byte
	err := s.reading(ctx, func(ctx context.Context) error {
		return s.db.Pool.QueryRow(ctx, s.db.In(`select q.body, q.chunks, q.top, coalesce(b.data, ''::bytea), q.chunks > 0 and b.body is null from $.queue q left join $.queue_body b on b.body = q.body and b.n = 0
			where q.id = $1 and q.claim = $2 and q.node = $3`), id, k.number, s.node).Scan(&r.body, &r.chunks, &r.top, &first, &r.broken)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, queue.ErrNotFound
	}
	if err != nil {
		return nil, failed("open message", err)
	}
	if r.broken {
		return nil, s.putAside(context.WithoutCancel(ctx), id, errors.New("its text is missing"))
	}
	r.n = min(1, r.chunks)
	r.from.Reset(append(r.top, first...))
	return r, nil
}

// reader reads a message piece by piece: of a small one all is there.
type reader struct {
	s         *Spool
	ctx       context.Context
	id        string
	body      database.ID
	n, chunks int // pieces read, and all
	top       []byte
	from      bytes.Reader
	broken    bool
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for r.from.Len() == 0 && r.n < r.chunks {
		data, err := r.s.pieces.Read(r.ctx, r.body, r.n)
		if err != nil {
			return 0, failed("read message "+r.id, err)
		}
		r.n++
		r.from.Reset(data)
	}
	return r.from.Read(p)
}

// Close implements io.Closer.
func (r *reader) Close() error { return nil }
