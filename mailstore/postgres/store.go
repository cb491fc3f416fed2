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
)

// Store keeps mailboxes in a database. It implements mailstore.Store and is safe for concurrent use.
type Store struct {
	log         *slog.Logger
	schema      string
	boxQuota    func(user string) mailstore.Quota
	domainQuota func(domain string) mailstore.Quota
	lease       time.Duration
	timeout     time.Duration
	replicas    int
	connections int

	pool    *pgxpool.Pool
	seen    guard
	lists   lists
	clock   clock
	held    leases
	commits chan *commit
	late    late

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
		s.pool.Close()
		return nil, fmt.Errorf("postgres: open store: %w", err)
	}
	s.ends, s.end = context.WithCancel(context.Background())
	for range committers {
		s.runs.Go(s.commitAll)
	}
	s.runs.Go(s.commitLate)
	s.runs.Go(s.renewAll)
	s.runs.Go(s.sweepAll)
	return s, nil
}

// Try says why Open would not get as far as the tables: nobody answers there, or a server that is not to be trusted with mail. It
// changes nothing.
func Try(ctx context.Context, dsn string, opts ...Option) error {
	s, err := connect(ctx, dsn, opts)
	if err != nil {
		return err
	}
	defer s.pool.Close()
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// connect is a store of which nothing runs yet.
func connect(ctx context.Context, dsn string, opts []Option) (*Store, error) {
	s := &Store{
		log: slog.New(slog.DiscardHandler), schema: "postrider", lease: 30 * time.Second, timeout: 30 * time.Second, connections: 8,
		commits: make(chan *commit), late: late{came: make(chan struct{}, 1)}, lists: lists{most: 400_000},
	}
	for _, o := range opts {
		o(s)
	}
	if !isPlainName(s.schema) {
		return nil, fmt.Errorf("postgres: %q cannot be the name of a schema", s.schema)
	}
	if err := s.seen.load(); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", withoutPassword(err))
	}
	s.prepare(cfg)
	if s.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("postgres: %w", withoutPassword(err))
	}
	return s, nil
}

// prepare sets up how connections are made.
func (s *Store) prepare(cfg *pgxpool.Config) {
	cfg.MaxConns = int32(max(s.connections, committers+3))
	cfg.MinConns = 1
	cfg.ConnConfig.ConnectTimeout = 10 * time.Second
	// Nothing is prepared by name, so that a pooler in between (pgbouncer) may give each transaction another server connection.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.ConnConfig.ValidateConnect = s.check
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "postrider"
	}
	cfg.ConnConfig.OnNotice = s.seen.notice
	cfg.PrepareConn = s.seen.fresh
	cfg.BeforeClose = func(c *pgx.Conn) { s.seen.forget(c.PgConn()) }
}

// withoutPassword keeps a connection string out of an error: pgx shows it, though with stars for a password that it finds.
func withoutPassword(err error) error {
	var bad *pgconn.ParseConfigError
	if errors.As(err, &bad) {
		return errors.New("the connection string cannot be read: " + lastOf(bad.Error()))
	}
	return err
}

// lastOf is what stands behind the string itself in the text of such an error.
func lastOf(text string) string {
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		return text[i+len("`: "):]
	}
	return "its form is wrong"
}

func isPlainName(s string) bool {
	return s != "" && len(s) < 40 && !strings.ContainsFunc(s, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_') })
}

// in puts the schema's name into the text of a statement, where it has "$.": it is named everywhere, for a search path is
// not kept by a pooler.
func (s *Store) in(text string) string { return strings.ReplaceAll(text, "$.", s.schema+".") }

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
	s.pool.Close()
	return nil
}

// Check asks the database whether mail can be stored now. It is what a server's health is made of.
func (s *Store) Check(ctx context.Context) error {
	if s.closed.Load() {
		return mailstore.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return unavailable("check", err)
	}
	defer conn.Release()
	return unavailable("check", s.check(ctx, conn.Conn().PgConn()))
}

// within is a context of one thing that the database is asked for, and an error after Close.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.closed.Load() {
		return nil, nil, mailstore.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	return ctx, cancel, nil
}

// broken reports whether an error is that of a connection rather than of what was asked: of a server that has ended, say.
func broken(err error) bool {
	var of *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &of):
		return strings.HasPrefix(of.Code, "57P") || strings.HasPrefix(of.Code, "08") // shut down, crashed, starting up; said by a pooler
	}
	return true
}

// reading does what changes nothing, and does it again where a connection of before turns out to be dead: after a failover all are.
func (s *Store) reading(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel, err := s.within(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	for attempt := 1; ; attempt++ {
		if err = do(ctx); !broken(err) || attempt == mostAttempts {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * 20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
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
