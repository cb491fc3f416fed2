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

// ErrWarned: a commit was confirmed with a warning, which is what PostgreSQL gives when the wait for a standby was cancelled.
var ErrWarned = errors.New("the commit was confirmed with a warning")

// Broken reports whether an error is that of a connection rather than of what was asked: of a server that has ended, say.
func Broken(err error) bool {
	var of *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &of):
		return strings.HasPrefix(of.Code, "57P") || strings.HasPrefix(of.Code, "08") // shut down, crashed, starting up; said by a pooler
	}
	return true
}

// TakenBack reports whether the database has undone a transaction because of another one, so that it may be tried again.
func TakenBack(err error) bool {
	var of *pgconn.PgError
	return errors.As(err, &of) && (of.Code == "40001" || of.Code == "40P01")
}

// Uncertain reports whether the transaction may have been committed although there was an error: the server said nothing, or
// it said that it ends.
func Uncertain(err error) bool {
	var of *pgconn.PgError
	if errors.As(err, &of) {
		return of.SeverityUnlocalized != "ERROR" || strings.HasPrefix(of.Code, "08") // which a pooler says when it has lost the server
	}
	return true
}

// Warning returns what a connection was last warned of, and forgets it.
func (d *Database) Warning(conn *pgxpool.Conn) string { return d.seen.warning(conn.Conn().PgConn()) }

// Warned is Warning as an error.
func (d *Database) Warned(conn *pgxpool.Conn) error {
	if text := d.Warning(conn); text != "" {
		return fmt.Errorf("%w: %s", ErrWarned, text)
	}
	return nil
}

// Vanish is a statement by which the server ends a transaction of whose client it hears nothing: a machine that is gone would keep
// rows locked for as long as TCP believes in it, which is hours.
func (d *Database) Vanish() string {
	return fmt.Sprintf("select set_config('idle_in_transaction_session_timeout', '%d', true)", min(d.o.Timeout, 10*time.Second).Milliseconds())
}

// Begin is a transaction that ends so.
func (d *Database) Begin() pgx.TxOptions { return pgx.TxOptions{BeginQuery: "begin; " + d.Vanish()} }

// Rollback ends a transaction that is still open, so that its connection can be used again.
func (d *Database) Rollback(conn *pgxpool.Conn) {
	c := conn.Conn()
	if c.IsClosed() || c.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := c.Exec(ctx, `rollback`); err != nil {
		c.Close(ctx)
	}
}

// Relaxed runs one statement whose effect may be lost with the server: it is no promise. read, if not nil, is given its rows.
func (d *Database) Relaxed(ctx context.Context, read func(pgx.Rows) error, text string, args ...any) (tag pgconn.CommandTag, err error) {
	conn, err := d.Pool.Acquire(ctx)
	if err != nil {
		return tag, err
	}
	defer conn.Release()
	defer d.Rollback(conn)
	b := new(pgx.Batch) // one transaction, without a word
	b.Queue(Relax)
	what := b.Queue(d.In(text), args...)
	if read != nil {
		what.Query(read)
	} else {
		what.Exec(func(t pgconn.CommandTag) error { tag = t; return nil })
	}
	return tag, conn.SendBatch(ctx, b).Close()
}

// Relax is a statement after which the commit of a transaction waits for nothing.
const Relax = `select set_config('synchronous_commit', 'off', true)`

// ProvenSoon is Proven, again and again while the database is away: it may be that another server is about to take its place. An error
// for which final is true ends it.
func (d *Database) ProvenSoon(ctx context.Context, barrier string, do func(tx pgx.Tx) error, final func(error) bool) error {
	for {
		err := d.Proven(ctx, barrier, do)
		if !Broken(err) && !TakenBack(err) || errors.Is(err, ErrWarned) || final != nil && final(err) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// Proven runs a transaction and writes something in it (barrier), so that its commit proves all before it; and believes no commit that
// came with a warning.
func (d *Database) Proven(ctx context.Context, barrier string, do func(tx pgx.Tx) error) error {
	conn, err := d.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	d.Warning(conn)
	err = pgx.BeginTxFunc(ctx, conn, d.Begin(), func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, d.In(barrier))
		return err
	})
	if err == nil {
		err = d.Warned(conn)
	}
	return err
}
