package database

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// PieceSize is the octets of one piece of a text.
	PieceSize = 128 << 10

	// Idle is after what time without a new piece a text is taken for one that was given up.
	Idle = time.Hour
)

// Pieces are the texts of messages that are too large for one row. They are written while a message comes, and worth nothing until the row
// that names them is committed.
type Pieces struct {
	DB    *Database
	Table string // "$.name", of columns body uuid, n int from 0 on, made timestamptz, data bytea
}

// Text is one on its way in. It is not safe for concurrent use.
type Text struct {
	ID     ID
	Octets int64  // all that was written
	Pieces int    // of them in the database
	Rest   []byte // not there yet
}

// Write takes more of a text.
func (p Pieces) Write(ctx context.Context, t *Text, b []byte) (n int, err error) {
	for n < len(b) {
		if len(t.Rest) == PieceSize { // more comes: it is a large one
			if err := p.put(ctx, t); err != nil {
				return n, err
			}
		}
		piece := b[n:min(len(b), n+PieceSize-len(t.Rest))]
		t.Rest = append(t.Rest, piece...)
		n += len(piece)
	}
	t.Octets += int64(n)
	return n, nil
}

// End writes what is left of a text that has pieces, or that has more octets than may stand in a row.
func (p Pieces) End(ctx context.Context, t *Text, row int) error {
	if len(t.Rest) == 0 || t.Pieces == 0 && len(t.Rest) <= row {
		return nil
	}
	return p.put(ctx, t)
}

// put writes the next piece. It need not be on stable storage before the commit that names it is: that one's record stands behind it in
// the database's log, which is made durable in its order.
func (p Pieces) put(ctx context.Context, t *Text) error {
	ctx, cancel := context.WithTimeout(ctx, p.DB.o.Timeout)
	defer cancel()
	if _, err := p.DB.Relaxed(ctx, nil, p.in(`insert into $pieces (body, n, data) values ($1, $2, $3)`), t.ID, t.Pieces, t.Rest); err != nil {
		return err
	}
	t.Pieces++
	t.Rest = t.Rest[:0]
	return nil
}

func (p Pieces) in(text string) string { return strings.ReplaceAll(text, "$pieces", p.Table) }

// Whole begins a statement ("with ...") that names texts (a parameter, "$1"): its table "whole" has their bodies and in n how many pieces
// of each are there, by which Lost says whether it may be named. The server may have gone down since they were written, or another
// have taken its place. Until the transaction is over nobody sweeps them away.
func (p Pieces) Whole(texts string) string {
	return p.in(`with kept as materialized (select body from $pieces where body = any(` + texts + `) and n = 0 for key share),
		whole as (select p.body, count(*)::int n from $pieces p join kept using (body) group by p.body)`)
}

// Lost is an error where fewer pieces of a text are there than were written.
func (t *Text) Lost(there int) error {
	if there == t.Pieces {
		return nil
	}
	return fmt.Errorf("%d of %d pieces were lost with the server", t.Pieces-there, t.Pieces)
}

// Read is a piece of a text; pgx.ErrNoRows where it is not there.
func (p Pieces) Read(ctx context.Context, id ID, n int) (data []byte, err error) {
	err = p.DB.Reading(ctx, func(ctx context.Context) error {
		return p.DB.Pool.QueryRow(ctx, p.DB.In(p.in(`select data from $pieces where body = $1 and n = $2`)), id, n).Scan(&data)
	})
	return data, err
}

// Drop deletes what is written of a text that was given up, beside whoever gave it up. What is left if that fails, or was begun when ends
// is over, is swept away later.
func (p Pieces) Drop(ends context.Context, t *Text, log *slog.Logger) {
	t.Rest = nil
	if t.Pieces == 0 || ends.Err() != nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(ends, p.DB.o.Timeout)
		defer cancel()
		if _, err := p.DB.Relaxed(ctx, nil, p.in(`delete from $pieces where body = $1`), t.ID); err != nil {
			log.Info("pieces of a message that was given up stay for now", "text", t.ID.String(), "err", err)
		}
	}()
}

// sweptAtOnce is how many texts one transaction sweeps away.
const sweptAtOnce = 100

// Sweep deletes the pieces of texts of which nothing has come for so long and that nothing names, and returns how many pieces there were.
// unnamed is a condition on p.body that is true of a text that nothing names.
//
// That none is deleted that is named needs no time: under the lock of its first piece's row a commit that names a text either came before,
// and is seen by the statement that deletes, or finds the pieces gone and is refused (Whole). The time only spares messages that are on
// their way.
func (p Pieces) Sweep(ctx context.Context, idle time.Duration, unnamed string) (n int64, err error) {
	for {
		var found []ID
		err := pgx.BeginTxFunc(ctx, p.DB.Pool, pgx.TxOptions{BeginQuery: "begin; " + p.DB.Vanish() + "; " + Relax}, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, p.DB.In(p.in(`select p.body from $pieces p where p.n = 0 and p.made < now() - $1::interval and `+unnamed+`
				and not exists (select from $pieces l where l.body = p.body and l.made >= now() - $1::interval) limit $2 for update of p skip locked`)), idle, sweptAtOnce)
			if err == nil {
				found, err = pgx.CollectRows(rows, pgx.RowTo[ID])
			}
			if err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, p.DB.In(p.in(`delete from $pieces p where p.body = any($1) and `+unnamed)), found)
			n += tag.RowsAffected()
			return err
		})
		if err != nil || len(found) < sweptAtOnce {
			return n, err
		}
	}
}
