package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// begun is a large message of which pieces are written and whose commit has not begun.
func begun(t *testing.T, s *postgres.Store, text string) mailstore.Delivery {
	t.Helper()
	d, err := s.Create(t.Context(), mailstore.Meta{}, ann)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Abort() })
	if _, err := io.WriteString(d, text); err != nil {
		t.Fatal(err)
	}
	return d
}

// kept checks that a mailbox has a message and the sweeper finds nothing.
func kept(t *testing.T, s *postgres.Store, text string) {
	t.Helper()
	if n := sweep(t, s); n != 0 {
		t.Errorf("%d are swept away", n)
	}
	if texts(t, s, ann)[text] != 1 {
		t.Error("the message is not there as it was stored")
	}
}

// TestSweep: who removes what no message names, and when. It is one order of events each.
func TestSweep(t *testing.T) {
	t.Parallel()
	inOneServer(t, map[string]func(t *testing.T, dsn string){
		"SweepWhileWriting":      sweepWhileWriting,
		"SweptBeforeCommit":      sweptBeforeCommit,
		"DeadBeforeCommit":       deadBeforeCommit,
		"StillHeardOf":           stillHeardOf,
		"SweepDuringCommit":      sweepDuringCommit,
		"SweepWithCommitInDoubt": sweepWithCommitInDoubt,
		"SweptTwiceAtOnce":       sweptTwiceAtOnce,
		"SweepBrokenOff":         sweepBrokenOff,
		"SweepOutOfTime":         sweepOutOfTime,
		"NodeDiesBeforeRow":      nodeDiesBeforeRow,
		"LargeGivenUp":           largeGivenUp,
		"ManyAtOnce":             manyAtOnce,
	})
}

// sweepWhileWriting: pieces of a message on its way are nobody's to remove, however often somebody sweeps.
func sweepWhileWriting(t *testing.T, dsn string) {
	b := new(bucket)
	s, other := outside(t, dsn, b), outside(t, dsn, b)
	b.put = func(int) error {
		if n := sweep(t, other); n != 0 {
			t.Errorf("%d are swept away", n)
		}
		return nil
	}
	text := largeText(5 << 19)
	d := begun(t, s, text)
	if err := d.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	kept(t, s, text)
}

// sweptBeforeCommit: a node slept for longer than its message's pieces are kept for it. It is not stored, whatever it does when it
// wakes up, and the others of its group are.
func sweptBeforeCommit(t *testing.T, dsn string) {
	b := new(bucket)
	s, other := outside(t, dsn, b), outside(t, dsn, b)
	text := largeText(5 << 19)
	asleep, writing := begun(t, s, text), begun(t, s, text)
	expire(t, dsn)
	if n := sweep(t, other); n != 2 || len(b.Keys()) != 0 {
		t.Errorf("%d are swept away, %q is left", n, b.Keys())
	}
	postgres.HeardLongAgo(writing)
	if _, err := io.WriteString(writing, text); !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("write: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := deliver(t.Context(), s, fmt.Sprint(i, text), ben); err != nil {
				t.Errorf("another: %v", err)
			}
		})
	}
	if err := asleep.Commit(t.Context(), nil); !errors.Is(err, mailstore.ErrUnavailable) || errors.Is(err, mailstore.ErrUncertain) {
		t.Errorf("commit: %v", err)
	}
	wg.Wait()
	if a, b := len(texts(t, s, ann)), len(texts(t, s, ben)); a != 0 || b != 8 {
		t.Errorf("%d and %d messages", a, b)
	}
}

// deadBeforeCommit: what is declared dead is dead also while its pieces are still there.
func deadBeforeCommit(t *testing.T, dsn string) {
	b := new(bucket)
	s, other := outside(t, dsn, b), open(t, dsn, postgres.WithObjects(b, 0, time.Hour))
	d, writing := begun(t, s, largeText(5<<19)), begun(t, s, largeText(5<<19))
	expire(t, dsn)
	if n := sweep(t, other); n != 0 || len(b.Keys()) == 0 {
		t.Errorf("%d are swept away before their time", n)
	}
	postgres.HeardLongAgo(writing)
	if _, err := io.WriteString(writing, largeText(5<<19)); !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("write: %v", err)
	}
	if err := d.Commit(t.Context(), nil); !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("commit: %v", err)
	}
}

// stillHeardOf: pieces that are written say that their message is on its way, so that a slow one takes as long as it likes. One
// that was late but is not declared dead is stored.
func stillHeardOf(t *testing.T, dsn string) {
	b := new(bucket)
	s, other := outside(t, dsn, b), outside(t, dsn, b)
	text := largeText(5 << 19)
	d := begun(t, s, text)
	expire(t, dsn)
	postgres.HeardLongAgo(d)
	if _, err := io.WriteString(d, text); err != nil {
		t.Fatal(err)
	}
	if n := sweep(t, other); n != 0 {
		t.Errorf("%d are swept away", n)
	}
	expire(t, dsn) // nobody sweeps meanwhile
	if err := d.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	kept(t, other, text+text)
}

// sweepDuringCommit: the commit has begun and is not over, for as long as the database likes, and its end is long past: who sweeps
// waits for nothing and takes nothing.
func sweepDuringCommit(t *testing.T, dsn string) {
	b := new(bucket)
	s, other := outside(t, dsn, b), outside(t, dsn, b)
	text := largeText(5 << 19)
	d := begun(t, s, text)
	expire(t, dsn)
	c := hold(t, dsn)
	done := make(chan error, 1)
	go func() { done <- d.Commit(context.Background(), nil) }()
	peertest.Await(t, "the commit to hang", func() bool { return waiting(t, c) == 1 || len(done) > 0 })
	if n := sweep(t, other); n != 0 {
		t.Errorf("%d are swept away", n)
	}
	if len(done) > 0 {
		t.Error("the commit did not hang")
	}
	letGo(t, c)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	kept(t, other, text)
}

// hold makes commits of messages hang in the database until letGo.
func hold(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	if _, err := c.Exec(t.Context(), `create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return new; end $$;
		create trigger hold before insert on postrider.body for each row execute function hold();
		select pg_advisory_lock(7)`); err != nil {
		t.Fatal(err)
	}
	return c
}

func letGo(t *testing.T, c *pgx.Conn) {
	t.Helper()
	if _, err := c.Exec(context.Background(), `select pg_advisory_unlock(7)`); err != nil {
		t.Fatal(err)
	}
}

// sweepWithCommitInDoubt: the connection of a commit is gone, nobody knows what became of it, and who sent it gives up. Its
// transaction still runs: nothing of it is swept away before it is over, nor afterwards, for it was stored.
func sweepWithCommitInDoubt(t *testing.T, dsn string) {
	b := new(bucket)
	other := outside(t, dsn, b)
	_, addr, _ := strings.Cut(dsn, "@")
	addr, _, _ = strings.Cut(addr, "/")
	cut := newCutter(t, addr, true)
	s := outside(t, strings.Replace(dsn, addr, cut.Addr().String(), 1), b, postgres.WithTimeout(3*time.Second))
	text := largeText(5 << 19)
	d := begun(t, s, text)
	expire(t, dsn)
	c := hold(t, dsn)
	first := text[:100]
	cut.cut.Store(&first)
	done := make(chan error, 1)
	go func() { done <- d.Commit(context.Background(), nil) }()
	if err := <-done; !errors.Is(err, mailstore.ErrUncertain) {
		t.Fatal(err)
	}
	d.Abort()
	if n := sweep(t, other); n != 0 || len(b.Keys()) == 0 {
		t.Errorf("%d are swept away", n)
	}
	letGo(t, c)
	peertest.Await(t, "the lost transaction to end", func() bool { return answer(t, dsn, "select count(*) from postrider.body") == 1 })
	kept(t, other, text)
}

// sweptTwiceAtOnce: two servers sweep at the same time.
func sweptTwiceAtOnce(t *testing.T, dsn string) {
	b := new(bucket)
	s, other := outside(t, dsn, b), outside(t, dsn, b)
	for range 5 {
		begun(t, s, largeText(5<<19))
	}
	text := largeText(3 << 19)
	if err := deliver(t.Context(), s, text, ann); err != nil {
		t.Fatal(err)
	}
	expire(t, dsn)
	var wg sync.WaitGroup
	for _, s := range []*postgres.Store{s, other, s, other} {
		wg.Go(func() {
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := answer(t, dsn, "select count(*) from postrider.object"); n != 1 || len(b.Keys()) != 2 {
		t.Errorf("%d rows, %q", n, b.Keys())
	}
	kept(t, other, text)
}

// sweepBrokenOff: what cannot be removed now is removed later, also where another has begun with it and is gone. It keeps nothing else, but
// storage that removes nothing is not asked about each.
func sweepBrokenOff(t *testing.T, dsn string) {
	b := new(bucket)
	s := outside(t, dsn, b)
	for range 7 {
		begun(t, s, largeText(5<<19))
	}
	expire(t, dsn)
	deletes := 0
	b.del = func() error {
		if deletes++; deletes == 4 { // of two pieces each
			return errors.New("slow down")
		}
		return nil
	}
	if n, err := s.Sweep(t.Context()); n != 6 || !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("%d are swept away, %v", n, err)
	}
	if n := sweep(t, s); n != 1 || len(b.Keys()) != 0 {
		t.Errorf("%d are swept away, %q is left", n, b.Keys())
	}
	for range 5 {
		begun(t, s, largeText(5<<19))
	}
	expire(t, dsn)
	deletes = 0
	b.del = func() error {
		deletes++
		return errors.New("away")
	}
	if n, err := s.Sweep(t.Context()); n != 0 || !errors.Is(err, mailstore.ErrUnavailable) || deletes != 3 {
		t.Errorf("%d are swept away, %v; it was asked %d times", n, err, deletes)
	}
	b.del = nil
	if n := sweep(t, s); n != 5 || len(b.Keys()) != 0 || answer(t, dsn, "select count(*) from postrider.object") != 0 {
		t.Errorf("%d are swept away, %q is left", n, b.Keys())
	}
}

// sweepOutOfTime: a sweep that has more to do than it has time for says nothing against the storage.
func sweepOutOfTime(t *testing.T, dsn string) {
	b := new(bucket)
	var log mailtest.Log
	s := outside(t, dsn, b, postgres.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	begun(t, s, largeText(5<<19))
	expire(t, dsn)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b.del = func() error {
		<-ctx.Done()
		return ctx.Err()
	}
	if n, err := s.Sweep(ctx); n != 0 || !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("%d are swept away, %v", n, err)
	}
	if strings.Contains(log.String(), "the storage of large messages fails") {
		t.Errorf("the log:\n%s", log.String())
	}
	b.del = nil
	if n := sweep(t, s); n != 1 || len(b.Keys()) != 0 {
		t.Errorf("%d are swept away, %q is left", n, b.Keys())
	}
}

// nodeDiesBeforeRow: a server dies with a message whose pieces are written, and whose row is not. They stay for a day, and go then.
func nodeDiesBeforeRow(t *testing.T, dsn string) {
	b := new(bucket)
	dead, s := outside(t, dsn, b), outside(t, dsn, b)
	begun(t, dead, largeText(5<<19))
	postgres.Freeze(dead)
	if n := sweep(t, s); n != 0 || len(b.Keys()) == 0 {
		t.Errorf("%d are swept away before their time", n)
	}
	if n := answer(t, dsn, "select count(*) from postrider.object where until between clock_timestamp() + interval '23 hours' and clock_timestamp() + interval '24 hours'"); n != 1 {
		t.Error("it is kept for another time than a day")
	}
	expire(t, dsn)
	if n := sweep(t, s); n != 1 || len(b.Keys()) != 0 {
		t.Errorf("%d are swept away, %q is left", n, b.Keys())
	}
}

// largeGivenUp: what is given up with all its pieces goes at once, and what it holds while it is on its way is given free.
func largeGivenUp(t *testing.T, dsn string) {
	b := new(bucket)
	s := outside(t, dsn, b)
	for range 40 { // more than may have large pieces at once
		d := begun(t, s, largeText(300<<10))
		if err := d.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	peertest.Await(t, "all to go", func() bool {
		return len(b.Keys()) == 0 && answer(t, dsn, "select count(*) from postrider.object") == 0
	})
	d := begun(t, s, largeText(2<<20))
	if n := len(b.Keys()); n != 1 {
		t.Errorf("%d pieces: others hold what they do not need", n)
	}
	d.Abort()
}

// manyAtOnce: of many large messages on their way at once most have small pieces, and all are stored as they are.
func manyAtOnce(t *testing.T, dsn string) {
	b := new(bucket)
	s := outside(t, dsn, b)
	text := largeText(700 << 10)
	var all []mailstore.Delivery
	for range 40 {
		all = append(all, begun(t, s, text))
	}
	if n := len(b.Keys()); n != 8*5 {
		t.Errorf("%d pieces by now", n)
	}
	for _, d := range all {
		if err := d.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := texts(t, s, ann)[text]; n != 40 {
		t.Errorf("%d of 40 messages", n)
	}
}
