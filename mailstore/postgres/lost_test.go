package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// waiting is how many statements wait for a lock.
func waiting(t *testing.T, c *pgx.Conn) (n int) {
	t.Helper()
	if err := c.QueryRow(context.Background(), `select count(*) from pg_stat_activity where wait_event_type = 'Lock'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCutInFirstCommit: the connection breaks in the commit of the first message of a mailbox, while the server is busy with it. The
// mailbox is there by then, so that who wants to know the outcome waits for it.
func TestCutInFirstCommit(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	open(t, peertest.DSN(db)) // makes the tables
	c := newCutter(t, fmt.Sprint("127.0.0.1:", db.Port), true)
	c.waits = 300 * time.Millisecond // it does not answer before the test has it do so
	s := open(t, fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", c.Addr()), postgres.WithTimeout(time.Minute))
	other, err := pgx.Connect(t.Context(), peertest.DSN(db))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	if _, err := other.Exec(t.Context(), `create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return new; end $$;
		create trigger hold before insert on postrider.body for each row execute function hold();
		select pg_advisory_lock(7)`); err != nil {
		t.Fatal(err)
	}
	text := "the first\r\n"
	c.cut.Store(&text)
	done := make(chan error, 1)
	go func() { done <- deliver(context.Background(), s, text, ann) }()
	peertest.Await(t, "the lost transaction, and who asks for its outcome, to wait", func() bool { return waiting(t, other) == 2 || len(done) > 0 })
	if len(done) > 0 {
		t.Error("the answer is there before the outcome")
	}
	if _, err := other.Exec(t.Context(), `select pg_advisory_unlock(7)`); err != nil {
		t.Fatal(err)
	}
	err = <-done
	direct := open(t, peertest.DSN(db))
	peertest.Await(t, "the lost transaction to end", func() bool { return waiting(t, other) == 0 })
	if stored := texts(t, direct, ann)[text]; err != nil && !errors.Is(err, mailstore.ErrUncertain) || err == nil && stored != 1 {
		t.Errorf("%v, and it is there %d times", err, stored)
	}
}

// TestPiecesLost: pieces of a large message are not durable before its commit. If the server has lost them since, it is not stored.
func TestPiecesLost(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	s := open(t, peertest.DSN(db))
	d, err := s.Create(t.Context(), mailstore.Meta{}, ann)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	if _, err := io.WriteString(d, strings.Repeat("0123456789abcde\r\n", 40_000)); err != nil {
		t.Fatal(err)
	}
	sql(t, db, `delete from postrider.chunk where n = 1`) // as if the server had gone down and come back without
	if err := d.Commit(t.Context(), nil); !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if err := deliver(t.Context(), s, "another\r\n", ann); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, ann); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
}

// TestLockLostWithServer: a lock whose record was lost with a server is not taken for that of the next who locks the maildrop.
func TestLockLostWithServer(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	a, b := open(t, peertest.DSN(db)), open(t, peertest.DSN(db))
	if err := deliver(t.Context(), a, "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	m, err := a.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if m, err = a.Open(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	sql(t, db, `update postrider.lease set epoch = epoch - 1, until = '-infinity'`)
	other, err := b.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := m.Remove(t.Context(), []int{0}); !errors.Is(err, mailstore.ErrLockLost) {
		t.Errorf("%v", err)
	}
}

// TestListOfBefore: a mailbox that fell back with a failover and then had as many changes as before is not listed from memory.
func TestListOfBefore(t *testing.T) {
	t.Parallel()
	primary := peertest.Postgres(t)
	standby := primary.Standby(t, "second")
	s := open(t, peertest.DSN(primary, standby), postgres.WithTimeout(10*time.Second))
	if err := deliver(t.Context(), s, "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	at, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", standby.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close(context.Background())
	peertest.Await(t, "the first to be there", func() bool {
		var n int
		return at.QueryRow(t.Context(), `select count(*) from postrider.msg`).Scan(&n) == nil && n == 1
	})
	for _, text := range []string{"alter system set primary_conninfo = ''", "select pg_reload_conf()"} {
		if _, err := at.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	peertest.Await(t, "the standby to stop following", func() bool {
		var n int
		return at.QueryRow(t.Context(), `select count(*) from pg_stat_wal_receiver`).Scan(&n) == nil && n == 0
	})
	if err := deliver(t.Context(), s, "two\r\n", ann); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, ann); len(got) != 2 {
		t.Fatalf("%v", got)
	}
	primary.TakeOver(t, standby)
	peertest.Await(t, "a delivery to the new server", func() bool { return deliver(t.Context(), s, "three\r\n", ann) == nil })
	if texts(t, s, ann)["three\r\n"] == 0 {
		t.Error("what was stored is not listed")
	}
}

// TestNodeVanishes: a server that vanished in the middle of a transaction does not keep its mailboxes locked for longer than it may wait.
func TestNodeVanishes(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	c := newCutter(t, fmt.Sprint("127.0.0.1:", db.Port), false)
	s, direct := open(t, fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", c.Addr()), postgres.WithTimeout(time.Second)), open(t, peertest.DSN(db))
	if err := deliver(t.Context(), s, "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	text := "two\r\n"
	c.silent.Store(true)
	c.cut.Store(&text)
	done := make(chan error, 1)
	go func() { done <- deliver(context.Background(), s, text, ann) }()
	peertest.Await(t, "the message to get lost", func() bool { return c.cuts.Load() == 1 })
	if err := deliver(t.Context(), direct, "three\r\n", ann); err != nil {
		t.Errorf("another server: %v", err)
	}
	if err := <-done; err == nil {
		t.Error("stored")
	}
}

// TestJoinKeepsIDsApart: a message that two mailboxes have has one id in each; in the mailbox that they become there are two.
func TestJoinKeepsIDsApart(t *testing.T) {
	t.Parallel()
	s := open(t, peertest.DSN(peertest.Postgres(t)))
	if err := deliver(t.Context(), s, "to both\r\n", ann, ben); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(t.Context(), ann, ben); err != nil {
		t.Fatal(err)
	}
	m, err := s.Open(t.Context(), ben)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Len() != 2 || m.UID(0) == m.UID(1) {
		t.Errorf("%d messages, the ids are %s and %s", m.Len(), m.UID(0), m.UID(1))
	}
}

// TestCommitWhileClosing: nobody waits for an answer that does not come, and what is answered ErrClosed is not stored.
func TestCommitWhileClosing(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	open(t, dsn)
	for range 10 {
		s := open(t, dsn)
		begun := make([]mailstore.Delivery, 60)
		for i := range begun {
			d, err := s.Create(t.Context(), mailstore.Meta{}, ann)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(d, "x\r\n")
			begun[i] = d
		}
		postgres.Freeze(s) // as Close does first
		done := make(chan error)
		for _, d := range begun {
			go func() { done <- d.Commit(context.Background(), nil) }()
		}
		for range begun {
			if err := <-done; err != nil && !errors.Is(err, mailstore.ErrClosed) {
				t.Fatal(err)
			}
		}
		s.Close()
	}
}

// TestOldConnections: connections to the server of before are not used any more once another has taken its place, also those that are open.
func TestOldConnections(t *testing.T) {
	t.Parallel()
	s := open(t, peertest.DSN(peertest.Postgres(t)))
	if err := deliver(t.Context(), s, "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	postgres.SawNewer(s)
	if err := deliver(t.Context(), s, "two\r\n", ann); err == nil || !strings.Contains(err.Error(), "older than one that was seen") {
		t.Errorf("stored where nobody looks any more: %v", err)
	}
}

// TestOrdinaryUser: who owns a database and no more can keep mail in it. That he may not see the standbys is said, where some are wanted.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t, "synchronous_standby_names = 'second'")
	db.Standby(t, "second")
	sql(t, db, "create role mail login")
	sql(t, db, "create database mail owner mail")
	dsn := fmt.Sprintf("postgres://mail@127.0.0.1:%d/mail?sslmode=disable", db.Port)
	if err := deliver(t.Context(), open(t, dsn), "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), dsn, postgres.WithReplicas(1)); err == nil || !strings.Contains(err.Error(), "grant pg_read_all_stats") {
		t.Errorf("where he cannot see them: %v", err)
	}
	sql(t, db, "grant pg_read_all_stats to mail")
	peertest.Await(t, "the standby to count", func() bool {
		s, err := postgres.Open(t.Context(), dsn, postgres.WithReplicas(1))
		if err == nil {
			s.Close()
		}
		return err == nil
	})
}
