package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// pieceSize is the octets of one piece of a message, the largest that goes with its entry's row in one transaction.
const pieceSize = 128 << 10

// uuid names a message's text, or a node. Later ones sort after earlier ones, so that new rows stand side by side.
type uuid [16]byte

func newUUID() (id uuid) {
	rand.Read(id[:]) // never fails
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(id[:6], ms[2:])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80 // RFC 9562 §5.7
	return id
}

func (id uuid) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// writer is an entry on its way into the queue.
type writer struct {
	s      *Spool
	ctx    context.Context // of Begin: a piece of a large message is written under it
	e      *queue.Entry
	st     *queue.State
	body   uuid
	claim  int64
	buf    []byte
	chunks int // written
	octets int64
	top    []byte
	failed error
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
	return &writer{s: s, ctx: ctx, e: e.Clone(), st: st.Clone(), body: newUUID(), claim: time.Now().UnixMicro()}, nil
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.over {
		return 0, errors.New("postgres: write after the end of an entry")
	}
	if w.failed != nil {
		return 0, w.failed
	}
	for n := 0; n < len(p); {
		if len(w.buf) == pieceSize { // more comes: it is a large one
			if w.failed = w.flush(w.ctx); w.failed != nil {
				return n, w.failed
			}
		}
		piece := p[n:min(len(p), n+pieceSize-len(w.buf))]
		w.buf = append(w.buf, piece...)
		n += len(piece)
	}
	w.octets += int64(len(p))
	return len(p), nil
}

// flush writes the next piece of a large message. It need not be on stable storage before the commit that names it is: that one's record
// stands behind it in the database's log.
func (w *writer) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.s.db.Timeout())
	defer cancel()
	_, err := w.s.db.Relaxed(ctx, nil, `insert into $.queue_body (body, n, data) values ($1, $2, $3)`, w.body, w.chunks, w.buf)
	if err != nil {
		return failed("write message", err)
	}
	w.chunks++
	w.buf = w.buf[:0]
	return nil
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
	err = ctx.Err()
	if err == nil && w.chunks > 0 && len(w.buf) > 0 {
		err = w.flush(ctx)
	}
	if err == nil && w.chunks > 0 {
		err = w.missPieces(ctx)
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
	w.e.Params.Size = w.octets + int64(len(top))
	w.st.Size = w.e.Params.Size
	return &change{id: w.e.ID, new: w}
}

// made takes note of what became of the entry.
func (w *writer) made(err error) error {
	w.buf = nil
	if err == nil {
		if !w.s.held.put(w.e.ID, w.claim, 0) { // there was one of this id a moment ago
			w.s.giveBack(free{id: w.e.ID, number: w.claim, wait: new(time.Second)})
		}
		w.s.counted.add(w.e.Params.Size)
	}
	return err
}

// missPieces refuses a large message of which the server has lost pieces since they were written: it has gone down meanwhile, or another
// has taken its place, and they were not durable.
func (w *writer) missPieces(ctx context.Context) error {
	n := 0
	err := w.s.reading(ctx, func(ctx context.Context) error {
		return w.s.db.Pool.QueryRow(ctx, w.s.db.In(`select count(*) from $.queue_body where body = $1`), w.body).Scan(&n)
	})
	if err == nil && n < w.chunks {
		err = fmt.Errorf("%d of %d pieces were lost with the server", w.chunks-n, w.chunks)
	}
	return failed("write message", err)
}

// Abort implements queue.Writer. Pieces that are written are swept away later if they cannot be deleted now.
func (w *writer) Abort() error {
	if w.over {
		return nil
	}
	w.over, w.buf = true, nil
	if w.chunks > 0 && !w.s.closed.Load() {
		go func() {
			ctx, cancel := context.WithTimeout(w.s.ends, w.s.db.Timeout())
			defer cancel()
			if _, err := w.s.db.Relaxed(ctx, nil, `delete from $.queue_body where body = $1`, w.body); err != nil {
				w.s.log.Info("pieces of a message that was given up stay for now", "queue", w.e.ID, "err", err)
			}
		}()
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
			where q.id = $1 and q.claim = $2`), id, k.number).Scan(&r.body, &r.chunks, &r.top, &first, &r.broken)
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
	body      uuid
	n, chunks int // pieces read, and all
	top       []byte
	from      bytes.Reader
	broken    bool
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for r.from.Len() == 0 && r.n < r.chunks {
		var data []byte
		err := r.s.reading(r.ctx, func(ctx context.Context) error {
			return r.s.db.Pool.QueryRow(ctx, r.s.db.In(`select data from $.queue_body where body = $1 and n = $2`), r.body, r.n).Scan(&data)
		})
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
