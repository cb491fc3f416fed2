package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// Store keeps mailboxes in a database. It implements mailstore.Store and is safe for concurrent use.
type Store struct {
	log         *slog.Logger
	options     database.Options
	boxQuota    func(user string) mailstore.Quota
	domainQuota func(domain string) mailstore.Quota
	lease       time.Duration

	db      *database.Database
	pool    *pgxpool.Pool // of db
	timeout time.Duration // of db
	lists   lists
	clock   clock
	held    leases
	pieces  database.Pieces
	commits *database.Groups[*commit]
	late    late
	objects *objects // nil: all of every message is in the database

	ends   context.Context // of what runs in the background
	end    context.CancelFunc
	runs   sync.WaitGroup
	closed atomic.Bool
}

var _ mailstore.Store = (*Store)(nil)

// Open opens the store in a database, given by a connection string as psql takes it: a URL, or words like "host=/run/postgresql
// dbname=mail". Several hosts may be named; the one that can be written to is used. The tables are made if they are not there,
// and brought up to date if they are older. Close it when done.
func Open(ctx context.Context, dsn string, opts ...Option) (*Store, error) {
	s, err := connect(ctx, dsn, opts)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		s.db.Close()
		return nil, fmt.Errorf("postgres: open store: %w", err)
	}
	s.ends, s.end = context.WithCancel(context.Background())
	s.commits = database.Gather(s.ends, &s.runs, (*commit).octets, s.commitAll)
	s.runs.Go(s.commitLate)
	s.runs.Go(s.renewAll)
	s.runs.Go(s.sweepAll)
	if s.objects != nil {
		s.runs.Go(s.tryObjects)
	}
	return s, nil
}

// Try says why Open would not get as far as the tables: nobody answers there, or a server that is not to be trusted with mail. It
// changes nothing.
func Try(ctx context.Context, dsn string, opts ...Option) error {
	s, err := connect(ctx, dsn, opts)
	if err != nil {
		return err
	}
	defer s.db.Close()
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// connect is a store of which nothing runs yet.
func connect(ctx context.Context, dsn string, opts []Option) (*Store, error) {
	s := &Store{
		log: slog.New(slog.DiscardHandler), lease: 30 * time.Second,
		late: late{came: make(chan struct{}, 1)}, lists: lists{most: 400_000},
	}
	for _, o := range opts {
		o(s)
	}
	var err error
	if s.db, err = database.Connect(ctx, dsn, s.options); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	s.pool, s.timeout = s.db.Pool, s.db.Timeout()
	s.pieces = database.Pieces{DB: s.db, Table: "$.chunk"}
	return s, nil
}

// Database is the database that the store is in, for others that are in it too: it is open as long as the store is.
func (s *Store) Database() *database.Database { return s.db }

// Close ends what goes on in the background and gives the maildrops free that are open: what is done with them afterwards, and
// what was begun and not yet committed, fails with mailstore.ErrClosed. It is safe to call twice.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.end()
	s.runs.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), min(s.timeout, 5*time.Second))
	defer cancel()
	s.releaseAll(ctx)
	s.db.Close()
	return nil
}

// Check asks the database whether mail can be stored now. It is what a server's health is made of.
func (s *Store) Check(ctx context.Context) error {
	if s.closed.Load() {
		return mailstore.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return unavailable("check", s.db.Check(ctx))
}

// within is a context of one thing that the database is asked for, and an error after Close.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.closed.Load() {
		return nil, nil, mailstore.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	return ctx, cancel, nil
}

// in is a statement with the schema's name.
func (s *Store) in(text string) string { return s.db.In(text) }

// reading does what changes nothing, and does it again where a connection of before turns out to be dead.
func (s *Store) reading(ctx context.Context, do func(ctx context.Context) error) error {
	if s.closed.Load() {
		return mailstore.ErrClosed
	}
	return s.db.Reading(ctx, do)
}

// relaxed runs one statement whose effect may be lost with the server: it is no promise.
func (s *Store) relaxed(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error) {
	return s.db.Relaxed(ctx, nil, text, args...)
}

// unavailable says what was being done, and that trying later may work.
func unavailable(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mailstore.ErrClosed), errors.Is(err, mailstore.ErrUncertain), errors.Is(err, mailstore.ErrLockLost), errors.Is(err, mailstore.ErrUnavailable):
		return err
	}
	var of *pgconn.PgError
	if errors.As(err, &of) && (of.Code == "53100" || of.Code == "53200") { // disk_full, out_of_memory
		return fmt.Errorf("postgres: %s: %w: %w", doing, mailstore.ErrNoSpace, err)
	}
	if errors.As(err, &of) && of.Code == "25006" { // read_only_sql_transaction
		return fmt.Errorf("postgres: %s: %w: %w", doing, mailstore.ErrReadOnly, err)
	}
	return fmt.Errorf("postgres: %s: %w: %w", doing, mailstore.ErrUnavailable, err)
}

// canonical is the one form of a mailbox's name. ASCII letters have no case, as in mailstore/maildir.
func canonical(user string) (name, domain string, err error) {
	at := strings.LastIndexByte(user, '@')
	switch {
	case at <= 0 || at == len(user)-1:
		err = fmt.Errorf("%w: %q is not local@domain", mailstore.ErrBadName, user)
	case !utf8.ValidString(user):
		err = fmt.Errorf("%w: %q is not UTF-8", mailstore.ErrBadName, user)
	case strings.ContainsFunc(user, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		err = fmt.Errorf("%w: %q holds a control character", mailstore.ErrBadName, user)
	case len(user) > 512:
		err = fmt.Errorf("%w: %.40q... is too long", mailstore.ErrBadName, user)
	}
	if err != nil {
		return "", "", err
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, user)
	return name, name[at+1:], nil
}

// Users implements mailstore.Store.
func (s *Store) Users(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		after := ""
		for {
			names, err := s.usersAfter(ctx, after)
			if err != nil {
				yield("", err)
				return
			}
			if len(names) == 0 {
				return
			}
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
			after = names[len(names)-1]
		}
	}
}

// usersAfter is the next thousand mailboxes in the order of their names, so that no connection is kept while somebody does
// something with each.
func (s *Store) usersAfter(ctx context.Context, after string) ([]string, error) {
	var names []string
	err := s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.in(`select name from $.box where name > $1 order by name limit 1000`), after)
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return names, unavailable("list mailboxes", err)
}
