package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// errBoxGone: there is nothing any more to wait for, and the message may have been there and gone with its mailbox.
var errBoxGone = errors.New("a mailbox is gone since")

// settle finds out which of a group are stored after a commit whose outcome is not known, and answers those that are. The lost
// transaction holds the locks of the mailboxes until it is over, one way or the other: under them the answer is final. Something
// written and committed after that proves that what was found holds as well, on the standbys too.
func (s *Store) settle(group []*commit, boxes map[string]*boxRow, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	found := make(map[database.ID]bool)
	err := s.db.ProvenSoon(ctx, barrier, func(tx pgx.Tx) error {
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
		var bodies []database.ID
		for _, c := range group {
			bodies = append(bodies, c.d.text.ID)
		}
		rows, err := tx.Query(ctx, s.in(`select id from $.body where id = any($1)`), bodies)
		if err != nil {
			return err
		}
		var id database.ID
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			found[id] = true
			return nil
		})
		return err
	}, func(err error) bool { return errors.Is(err, errBoxGone) })
	if err != nil {
		s.log.Error("it is not known whether messages are stored: their senders are told to try again", "messages", len(group), "err", errors.Join(cause, err))
		return fmt.Errorf("%w: %w", mailstore.ErrUncertain, errors.Join(cause, err))
	}
	for _, c := range group {
		if !c.answered && found[c.d.text.ID] {
			c.answer(nil)
		}
	}
	return cause
}

// barrier is something written, so that its commit proves all before it.
const barrier = `update $.store set barrier = barrier + 1`
