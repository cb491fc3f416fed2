package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// tables are the queue's.
var tables = database.Tables{Product: "postrider queue", Files: schemaFiles, Version: 1}

// Spool is a queue.Shared in a database. It is safe for concurrent use. Make it with Open.
type Spool struct {
	db    *database.Database
	log   *slog.Logger
	lease time.Duration
	node  database.ID
	name  string

	pieces  database.Pieces
	changes *database.Groups[*change]
	held    claims
	freed   freed
	newer   newer
	counted counted
	nodes   atomic.Int64

	ends   context.Context // of what runs in the background
	end    context.CancelFunc
	runs   sync.WaitGroup
	closed atomic.Bool
}

var (
	_ queue.Shared   = (*Spool)(nil)
	_ queue.Together = (*Spool)(nil)
)

// Option changes how Open sets a spool up.
type Option func(*Spool)

// WithLogger sets where the spool tells of what it met; the default is nowhere.
func WithLogger(l *slog.Logger) Option { return func(s *Spool) { s.log = l } }

// WithLease sets for how long a claim holds of whose node nothing is heard, 30 seconds if nothing is said. It is renewed after a third
// of that.
func WithLease(d time.Duration) Option { return func(s *Spool) { s.lease = d } }

// WithName is the node's name for people, the host's if nothing is said.
func WithName(name string) Option { return func(s *Spool) { s.name = name } }

// Open opens the queue in a database, which stays open and the caller's. The tables are made if they are not there, and brought up to date
// if they are older. Close it when done.
func Open(ctx context.Context, db *database.Database, opts ...Option) (*Spool, error) {
	s := &Spool{db: db, log: slog.New(slog.DiscardHandler), lease: 30 * time.Second, node: database.NewID(), pieces: database.Pieces{DB: db, Table: "$.queue_body"}}
	s.name, _ = os.Hostname()
	for _, o := range opts {
		o(s)
	}
	if err := db.Migrate(ctx, tables, nil); err != nil {
		return nil, fmt.Errorf("postgres: open queue: %w", err)
	}
	s.ends, s.end = context.WithCancel(context.Background())
	if err := s.live(ctx); err != nil {
		return nil, fmt.Errorf("postgres: open queue: %w", err)
	}
	s.changes = database.Gather(s.ends, &s.runs, (*change).octets, s.changeGroup)
	s.runs.Go(s.renewAll)
	s.runs.Go(s.freeAll)
	s.runs.Go(s.sweepAll)
	return s, nil
}

// Close ends what goes on in the background and gives back what is claimed. It is safe to call twice.
func (s *Spool) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.end()
	s.runs.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), min(s.db.Timeout(), 5*time.Second))
	defer cancel()
	for id := range s.held.all() {
		s.Release(id, 0, false)
	}
	err := s.free(ctx)
	if err == nil {
		_, err = s.db.Relaxed(ctx, nil, `delete from $.queue_node where id = $1`, s.node)
	}
	if err != nil {
		s.log.Info("queue entries are given back to other servers after a while only", "err", err, "after", s.lease.String())
	}
	return nil
}

// columns are those of a row that read reads, of the queue as q.
const columns = `q.id, q.queued, q.claim, q.envelope, q.state, q.orders`

// row is what is read of an entry.
type row struct {
	id              string
	queued, claim   int64
	envelope, state []byte
	orders          []queue.Order
}

func (r *row) into() []any {
	return []any{&r.id, &r.queued, &r.claim, &r.envelope, &r.state, &r.orders}
}

// parse makes an entry of it, with all orders obeyed.
func (r *row) parse() (*queue.Entry, *queue.State, error) {
	e, err := spool.ParseEntry(r.envelope)
	if err != nil {
		return nil, nil, err
	}
	st, err := spool.ParseState(r.state)
	if err != nil {
		return nil, nil, err
	}
	if len(e.To) != len(st.To) || e.ID != r.id {
		return nil, nil, errors.New("envelope and state are of two entries")
	}
	for _, o := range r.orders {
		o.Apply(st)
	}
	return e, st, nil
}

// Load implements queue.Spool.
func (s *Spool) Load(ctx context.Context, id string) (*queue.Entry, *queue.State, error) {
	if !queue.ValidID(id) {
		return nil, nil, queue.ErrNotFound
	}
	var r row
	err := s.reading(ctx, func(ctx context.Context) error {
		return s.db.Pool.QueryRow(ctx, s.db.In(`select `+columns+` from $.queue q where id = $1 and not corrupt`), id).Scan(r.into()...)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, queue.ErrNotFound
	}
	if err != nil {
		return nil, nil, failed("load entry", err)
	}
	e, st, err := r.parse()
	if err != nil {
		return nil, nil, s.putAside(ctx, id, err)
	}
	return e, st, nil
}

// putAside takes an entry out of the queue that cannot be read. Its row stays. What a newer version has written is none of this node's
// business, and no fault: it is the newer servers' to send.
func (s *Spool) putAside(ctx context.Context, id string, why error) error {
	if errors.Is(why, spool.ErrNewer) {
		s.leave(id, why)
		return fmt.Errorf("read entry %s: %w: %w", id, queue.ErrCorrupt, why)
	}
	s.log.Error("a queue entry cannot be read, and is left alone", "queue", id, "err", why)
	s.held.drop(id, 0)
	if _, err := s.db.Pool.Exec(ctx, s.db.In(`update $.queue set corrupt = true, due = 'infinity', node = null, claim = claim + 1 where id = $1`), id); err != nil {
		return failed("put entry aside", err)
	}
	return fmt.Errorf("read entry %s: %w: %w", id, queue.ErrCorrupt, why)
}

// Corrupt counts the entries that were put aside.
func (s *Spool) Corrupt() (int, error) {
	c, err := s.count(context.Background())
	return c.corrupt, err
}

// Scan implements queue.Spool.
func (s *Spool) Scan(ctx context.Context, each func(id string, st *queue.State) error) error {
	after := ""
	for {
		var found []row
		err := s.reading(ctx, func(ctx context.Context) (err error) {
			rows, err := s.db.Pool.Query(ctx, s.db.In(`select `+columns+` from $.queue q where id > $1 and not corrupt order by id limit 500`), after)
			if err == nil {
				found, err = collect(rows)
			}
			return err
		})
		if err != nil {
			return failed("scan", err)
		}
		for i := range found {
			r := &found[i]
			after = r.id
			_, st, err := r.parse()
			if err != nil {
				s.putAside(ctx, r.id, err) // which says so
				continue
			}
			if err := each(r.id, st); err != nil {
				return err
			}
		}
		if len(found) == 0 {
			return nil
		}
	}
}

func collect(rows pgx.Rows) (all []row, err error) {
	var r row
	_, err = pgx.ForEachRow(rows, r.into(), func() error {
		all = append(all, r)
		r = row{}
		return nil
	})
	return all, err
}

// Room implements queue.Spool. What the database's disk has left is not to be seen from here: when it is full, Commit says so.
func (s *Spool) Room(ctx context.Context, size int64) error {
	switch {
	case s.closed.Load():
		return queue.ErrClosed
	case size > 1<<40:
		return queue.ErrFull
	}
	return nil
}

// reading does what changes nothing, again where a connection of before turns out to be dead.
func (s *Spool) reading(ctx context.Context, do func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return queue.ErrClosed
	}
	return s.db.Reading(ctx, do)
}

// failed says what was being done. A disk that is full is known as such.
func failed(doing string, err error) error {
	var of *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &of) && (of.Code == "53100" || of.Code == "53200"): // disk_full, out_of_memory
		return fmt.Errorf("postgres: %s: %w: %w", doing, queue.ErrFull, err)
	}
	return fmt.Errorf("postgres: %s: %w", doing, err)
}

// text is a string as a column of text takes it, for searching.
func text(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "�") }
