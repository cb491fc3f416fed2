package database_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// TestPieces has one server for all that follows, and a schema for each.
func TestPieces(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	for name, test := range map[string]func(t *testing.T, p database.Pieces){
		"written": testWritten, "lost": testLost, "sweep": testSweep, "sweep_beside_commit": testSweepBesideCommit, "drop": testDrop,
	} {
		t.Run(name, func(t *testing.T) {
			db, err := database.Connect(t.Context(), dsn, database.Options{Schema: name})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(db.Close)
			p := database.Pieces{DB: db, Table: "$.piece"}
			run(t, p, `create schema `+name)
			run(t, p, `create table $.piece (body uuid not null, n int not null, made timestamptz not null default now(), data bytea not null, primary key (body, n))`)
			run(t, p, `create table $.named (body uuid not null)`)
			test(t, p)
		})
	}
}

const unnamed = `not exists (select from $.named m where m.body = p.body)`

func run(t *testing.T, p database.Pieces, text string, args ...any) {
	t.Helper()
	if _, err := p.DB.Pool.Exec(t.Context(), p.DB.In(text), args...); err != nil {
		t.Fatal(err)
	}
}

// write writes a text of so many octets.
func write(t *testing.T, p database.Pieces, octets int) *database.Text {
	t.Helper()
	text := &database.Text{ID: database.NewID()}
	if n, err := p.Write(t.Context(), text, []byte(strings.Repeat("x", octets))); n != octets || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := p.End(t.Context(), text, database.PieceSize); err != nil {
		t.Fatal(err)
	}
	return text
}

// there is how many pieces a transaction sees of a text, which it keeps then.
func there(t *testing.T, p database.Pieces, tx pgx.Tx, text *database.Text) (n int) {
	t.Helper()
	if err := tx.QueryRow(t.Context(), p.DB.In(p.Whole("$1")+` select coalesce(sum(n), 0)::int from whole`), []database.ID{text.ID}).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// testWritten: a text that fits a row has no pieces, and what is written of a larger one is read again.
func testWritten(t *testing.T, p database.Pieces) {
	for _, c := range []struct{ octets, pieces, rest int }{
		{0, 0, 0}, {database.PieceSize, 0, database.PieceSize}, {database.PieceSize + 1, 2, 0}, {3 * database.PieceSize, 3, 0},
	} {
		text := write(t, p, c.octets)
		if text.Pieces != c.pieces || len(text.Rest) != c.rest || text.Octets != int64(c.octets) {
			t.Errorf("%d octets: %d pieces, %d left, %d said", c.octets, text.Pieces, len(text.Rest), text.Octets)
		}
		read := 0
		for n := range text.Pieces {
			data, err := p.Read(t.Context(), text.ID, n)
			if err != nil {
				t.Fatal(err)
			}
			read += len(data)
		}
		if read != c.octets-c.rest {
			t.Errorf("%d of %d octets are read", read, c.octets)
		}
	}
	small := &database.Text{ID: database.NewID(), Rest: []byte("more than may stand in a row")}
	if err := p.End(t.Context(), small, 4); err != nil || small.Pieces != 1 {
		t.Errorf("%d pieces, %v", small.Pieces, err)
	}
}

// testLost: a text of which a piece is gone is not taken for whole, and neither is one without its first.
func testLost(t *testing.T, p database.Pieces) {
	for _, gone := range []int{0, 1, 2} {
		text := write(t, p, 3*database.PieceSize)
		run(t, p, `delete from $.piece where body = $1 and n = $2`, text.ID, gone)
		tx, err := p.DB.Pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := text.Lost(there(t, p, tx, text)); err == nil {
			t.Errorf("piece %d is gone, and nobody sees it", gone)
		}
		tx.Rollback(t.Context())
	}
}

// testSweep: what is named stays, what is on its way stays, what was given up goes, also much of it.
func testSweep(t *testing.T, p database.Pieces) {
	named, given := write(t, p, 2*database.PieceSize), write(t, p, 3*database.PieceSize)
	run(t, p, `insert into $.named values ($1)`, named.ID)
	slow := write(t, p, 2*database.PieceSize)
	run(t, p, `update $.piece set made = now() - interval '2 hours' where body <> $1 or n = 0`, slow.ID) // of slow the last came just now
	if n, err := p.Sweep(t.Context(), database.Idle, unnamed); n != 3 || err != nil {
		t.Errorf("%d pieces, %v; three were given up", n, err)
	}
	for text, want := range map[*database.Text]bool{named: true, given: false, slow: true} {
		if _, err := p.Read(t.Context(), text.ID, 1); (err == nil) != want {
			t.Errorf("%v", err)
		}
	}
	run(t, p, `insert into $.piece select gen_random_uuid(), 0, now() - interval '2 hours', '' from generate_series(1, 250)`)
	if n, err := p.Sweep(t.Context(), database.Idle, unnamed); n != 250 || err != nil {
		t.Errorf("%d of 250 pieces, %v", n, err)
	}
}

// testSweepBesideCommit: a commit that has found a text whole names it, however old it is: it is not swept away meanwhile, nor afterwards by a
// sweeper that looked before. And one that looks while it is swept away finds it gone.
func testSweepBesideCommit(t *testing.T, p database.Pieces) {
	text := write(t, p, 2*database.PieceSize)
	run(t, p, `update $.piece set made = now() - interval '2 hours'`)
	tx, err := p.DB.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if n := there(t, p, tx, text); n != 2 {
		t.Fatalf("%d pieces", n)
	}
	if n, err := p.Sweep(t.Context(), database.Idle, unnamed); n != 0 || err != nil {
		t.Errorf("%d pieces of a text that is about to be named, %v", n, err)
	}
	if _, err := tx.Exec(t.Context(), p.DB.In(`insert into $.named values ($1)`), text.ID); err != nil {
		t.Fatal(err)
	}
	// A sweeper whose statement began before the commit and gets the row after it: the statement waits for a lock in between.
	hold, err := p.DB.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback(context.Background())
	if _, err := hold.Exec(t.Context(), `select pg_advisory_xact_lock(1)`); err != nil {
		t.Fatal(err)
	}
	swept := make(chan int64, 1)
	go func() {
		n, err := p.Sweep(context.Background(), database.Idle, unnamed+` and (pg_advisory_xact_lock_shared(1) is not null)`)
		if err != nil {
			t.Error(err)
		}
		swept <- n
	}()
	peertest.Await(t, "the sweeper to have looked", func() bool {
		var n int
		err := p.DB.Pool.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and not granted`).Scan(&n)
		return err == nil && n == 1
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := <-swept; n != 0 {
		t.Errorf("%d pieces of a message that is there were swept away", n)
	}
}

// testDrop: what is given up goes at once.
func testDrop(t *testing.T, p database.Pieces) {
	text := write(t, p, 2*database.PieceSize)
	p.Drop(t.Context(), text, slog.New(slog.DiscardHandler))
	peertest.Await(t, "its pieces to go", func() bool { _, err := p.Read(t.Context(), text.ID, 0); return err == pgx.ErrNoRows })
	ended, end := context.WithCancel(t.Context())
	end()
	p.Drop(ended, write(t, p, 2*database.PieceSize), slog.New(slog.DiscardHandler))
}
