// Package database is a PostgreSQL (14 or later) that can be trusted with mail: what the mail store and the queue that are in
// one have in common, and share where they are in the same, as stores on one disk share a durable.Disk.
//
// A server without the means to keep its promises is refused whenever a connection is made (guard.go). A commit whose outcome is
// not known has a name (Uncertain) and a proof (Proven). Nothing depends on one connection, so that a pooler that gives each
// transaction another one may stand in between: no prepared statements, no settings of a session, no search path.
package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options are how a database is used. The zero value is the default of each.
type Options struct {
	Schema      string        // of the tables: lower-case letters, digits and underscores; "postrider" where empty
	Timeout     time.Duration // of one thing that is asked for; 30 seconds where zero
	Connections int           // at most; 8 where zero
	Replicas    int           // a server without so many synchronous standbys is refused
	Memory      string        // a file that keeps which server was seen last; nowhere where empty

	// MemoryOfOther: another process writes Memory down, and this one goes by it.
	MemoryOfOther bool
}

// Database is connections to a database. It is safe for concurrent use.
type Database struct {
	Pool *pgxpool.Pool

	o    Options
	seen guard
}

// Connect is a database given by a connection string, as psql takes it. Nobody is asked yet. Close it when done.
func Connect(ctx context.Context, dsn string, o Options) (*Database, error) {
	if o.Schema == "" {
		o.Schema = "postrider"
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Connections <= 0 {
		o.Connections = 8
	}
	d := &Database{o: o, seen: guard{file: o.Memory, reads: o.MemoryOfOther}}
	if !isPlainName(o.Schema) {
		return nil, fmt.Errorf("%q cannot be the name of a schema", o.Schema)
	}
	if err := d.seen.load(); err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, withoutPassword(err)
	}
	d.prepare(cfg)
	if d.Pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, withoutPassword(err)
	}
	return d, nil
}

// Close ends the connections, when nothing is done with them any more.
func (d *Database) Close() { d.Pool.Close() }

// prepare sets up how connections are made.
func (d *Database) prepare(cfg *pgxpool.Config) {
	cfg.MaxConns = int32(max(d.o.Connections, 5))
	cfg.MinConns = 1
	cfg.ConnConfig.ConnectTimeout = 10 * time.Second
	// Nothing is prepared by name, so that a pooler in between (pgbouncer) may give each transaction another server connection.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.ConnConfig.ValidateConnect = d.check
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "postrider"
	}
	cfg.ConnConfig.OnNotice = d.seen.notice
	cfg.PrepareConn = d.seen.fresh
	cfg.BeforeClose = func(c *pgx.Conn) { d.seen.forget(c.PgConn()) }
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

// In puts the schema's name into the text of a statement, where it has "$.": it is named everywhere, for a search path is
// not kept by a pooler.
func (d *Database) In(text string) string { return strings.ReplaceAll(text, "$.", d.o.Schema+".") }

// Schema is the name of the schema.
func (d *Database) Schema() string { return d.o.Schema }

// Timeout bounds what is asked for.
func (d *Database) Timeout() time.Duration { return d.o.Timeout }

// Check asks whether the server is to be trusted with mail now.
func (d *Database) Check(ctx context.Context) error {
	conn, err := d.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return d.check(ctx, conn.Conn().PgConn())
}

// Attempts is how often a thing is tried that the database took back for another's sake.
const Attempts = 5

// Reading does what changes nothing, and does it again where a connection of before turns out to be dead: after a failover all are.
func (d *Database) Reading(ctx context.Context, do func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		if err = do(ctx); !Broken(err) || attempt == Attempts {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * 20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
