package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postrider-mail/postrider/mailstore"
)

// errWarned: a commit was confirmed with a warning, which is what PostgreSQL gives when the wait for a standby was cancelled.
var errWarned = errors.New("the commit was confirmed with a warning")

// errBoxGone: there is nothing any more to wait for, and the message may have been there and gone with its mailbox.
var errBoxGone = errors.New("a mailbox is gone since")

// isUncertain reports whether the transaction may have been committed although there was an error: the server said nothing, or
// it said that it ends.
func isUncertain(err error) bool {
	var of *pgconn.PgError
	if errors.As(err, &of) {
		return of.SeverityUnlocalized != "ERROR" || strings.HasPrefix(of.Code, "08") // which a pooler says when it has lost the server
	}
	return true
}

// settle finds out which of a group are stored after a commit whose outcome is not known, and answers those that are. The lost
// transaction holds the locks of the mailboxes until it is over, one way or the other: under them the answer is final. Something
// written and committed after that proves that what was found holds as well, on the standbys too.
func (s *Store) settle(group []*commit, boxes map[string]*boxRow, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	found := make(map[bodyID]bool)
	err := s.provenSoon(ctx, func(tx pgx.Tx) error {
		clear(found)
		ids := make([]int64, 0, len(boxes))
		for _, b := range boxes {
			ids = append(ids, b.id)
		}
		tag, err := tx.Exec(ctx, s.in(`select from $.box where id = any($1) order by name for update`), ids)
		if err != nil {
			return err
		}
		if int(tag.RowsAffected()) < len(ids) {
			return errBoxGone
		}
		var bodies [][16]byte
		for _, c := range group {
			bodies = append(bodies, c.d.id)
		}
		rows, err := tx.Query(ctx, s.in(`select id from $.body where id = any($1)`), bodies)
		if err != nil {
			return err
		}
		var id [16]byte
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			found[id] = true
			return nil
		})
		return err
	})
	if err != nil {
		s.log.Error("it is not known whether messages are stored: their senders are told to try again", "messages", len(group), "err", errors.Join(cause, err))
		return fmt.Errorf("%w: %w", mailstore.ErrUncertain, errors.Join(cause, err))
	}
	for _, c := range group {
		if !c.answered && found[c.d.id] {
			c.answer(nil)
		}
	}
	return cause
}

// provenSoon is proven, again and again while the database is away: it may be that another server is about to take its place.
func (s *Store) provenSoon(ctx context.Context, do func(tx pgx.Tx) error) error {
	for {
		err := s.proven(ctx, do)
		if !broken(err) && !takenBack(err) || errors.Is(err, errWarned) || errors.Is(err, errBoxGone) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// proven runs a transaction and writes something in it, so that its commit proves all before it; and believes no commit that
// came with a warning.
func (s *Store) proven(ctx context.Context, do func(tx pgx.Tx) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	s.seen.warning(conn.Conn().PgConn())
	err = pgx.BeginTxFunc(ctx, conn, s.begin(), func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, s.in(`update $.store set barrier = barrier + 1`))
		return err
	})
	if text := s.seen.warning(conn.Conn().PgConn()); err == nil && text != "" {
		err = fmt.Errorf("%w: %s", errWarned, text)
	}
	return err
}
