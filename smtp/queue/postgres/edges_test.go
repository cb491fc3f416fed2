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
	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/postgres"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// put makes entries of which a spool has the claims.
func put(t *testing.T, s *postgres.Spool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		e := spooltest.Entry(id)
		w, err := s.Begin(t.Context(), e, queue.NewState(e))
		if err == nil {
			_, err = io.WriteString(w, "text of "+id)
		}
		if err == nil {
			err = w.Commit(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCutOrders: a state is saved, the orders that it obeys are struck off, and the connection breaks before that is confirmed. To do it again
// strikes off none of those that nobody has obeyed.
func TestCutOrders(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	for _, after := range []bool{false, true} {
		c := newCutter(t, db, after)
		base, err := database.Connect(t.Context(), fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", c.addr), database.Options{Schema: schema(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(base.Close)
		s, err := postgres.Open(t.Context(), base)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		id := fmt.Sprint("cut-", after)
		put(t, s, id)
		_, st, err := s.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		first := queue.Order{Kind: queue.ToHold}
		if _, err := s.Ask(t.Context(), queue.Asked{ID: id, Order: first}); err != nil {
			t.Fatal(err)
		}
		news, err := s.News(t.Context())
		if err != nil || len(news.Orders[id]) != 1 {
			t.Fatalf("%+v, %v", news, err)
		}
		first.Apply(st)
		s.Heard(id, 1)
		if _, err := s.Ask(t.Context(), queue.Asked{ID: id, Order: queue.Order{Kind: queue.ToReroute, Route: "another"}}); err != nil {
			t.Fatal(err)
		}
		st.To[0].Last.Text = "saved " + id
		c.text.Store(&st.To[0].Last.Text)
		if err := s.Save(t.Context(), id, st); err != nil || c.cuts.Load() != 1 {
			t.Fatalf("%v, %d cuts", err, c.cuts.Load())
		}
		if _, st, err := s.Load(t.Context(), id); err != nil || !st.Held || st.Route != "another" {
			t.Errorf("cut after %v: %+v, %v", after, st, err)
		}
		if news, err := s.News(t.Context()); err != nil || len(news.Orders[id]) == 0 || news.Orders[id][len(news.Orders[id])-1].Route != "another" {
			t.Errorf("cut after %v: %+v, %v", after, news, err)
		}
	}
}

// TestCutWithoutNode: what proves that a commit holds is written also where the database has lost the row of this node.
func TestCutWithoutNode(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	c := newCutter(t, db, true)
	base, err := database.Connect(t.Context(), fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", c.addr), database.Options{Schema: schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(base.Close)
	s, err := postgres.Open(t.Context(), base, postgres.WithLease(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	beside(t, peertest.DSN(db))(`delete from $.queue_node`)
	text := "text of proven"
	c.text.Store(&text)
	put(t, s, "proven")
	var written int
	if err := base.Pool.QueryRow(t.Context(), base.In(`select count(*) from $.queue_node where barrier > 0`)).Scan(&written); err != nil || written != 1 || c.cuts.Load() != 1 {
		t.Errorf("%d barriers, %d cuts, %v", written, c.cuts.Load(), err)
	}
}

// TestGivenBackIsNotRenewed: who renews its claims puts nothing off that it has given back meanwhile.
func TestGivenBackIsNotRenewed(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	s, sql := open(t, dsn, postgres.WithLease(600*time.Millisecond)), beside(t, dsn)
	put(t, s, "back", "kept")
	// As if it were written down between the look at what is held and the statement.
	sql(`update $.queue set node = null, due = 'infinity' where id = 'back'`)
	sql(`update $.queue set due = now() - interval '1 second' where id = 'kept'`)
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	ask := func(text string) (is bool) {
		t.Helper()
		if err := c.QueryRow(t.Context(), strings.ReplaceAll(text, "$.", schema(t)+".")).Scan(&is); err != nil {
			t.Fatal(err)
		}
		return is
	}
	peertest.Await(t, "claims to be renewed", func() bool { return ask(`select due > now() from $.queue where id = 'kept'`) })
	if !ask(`select due = 'infinity' from $.queue where id = 'back'`) {
		t.Error("what was given back is put off like a claim")
	}
}

// TestGiveBackHangs: what is given back waits for the database no longer than anything else, and so do those who want an entry.
func TestGiveBackHangs(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	base, err := database.Connect(t.Context(), dsn, database.Options{Schema: schema(t), Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(base.Close)
	s, err := postgres.Open(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	put(t, s, "locked", "free")
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), base.In(`select from $.queue where id = 'locked' for update`)); err != nil {
		t.Fatal(err)
	}
	s.Release("locked", 0, false)
	peertest.Await(t, "it to wait for the row", func() bool {
		var n int
		err := base.Pool.QueryRow(t.Context(), `select count(*) from pg_locks where not granted`).Scan(&n)
		return err == nil && n > 0
	})
	told := make(chan error, 1)
	go func() {
		_, err := s.Take(context.Background(), "free")
		told <- err
	}()
	peertest.Await(t, "an answer to who wants another", func() bool { return len(told) > 0 })
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	peertest.Await(t, "it to be given back", func() bool { got, err := s.Take(t.Context(), "locked"); return err == nil && got.Entry.ID == "locked" })
}

// TestSteerWhatWasLost: a command about an entry that this node still works on, while another has it by now, is obeyed by that one. A removal is
// not taken for done.
func TestSteerWhatWasLost(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	let, busy := make(chan struct{}), make(chan struct{}, 10)
	defer close(let)
	a := start(t, dsn, "a", func(n *node) {
		n.Schedule.First = time.Hour
		n.post.wait = func(*queue.Delivery) { busy <- struct{}{}; <-let }
	})
	for i, id := range []string{"held", "gone"} {
		a.submit(t, id, fmt.Sprint(i, ".example"))
		<-busy
	}
	sql, ctx := beside(t, dsn), t.Context()
	sql(`update $.queue set claim = claim + 1, node = gen_random_uuid(), due = now() + interval '1 hour'`) // another has both
	if err := a.Hold(ctx, "held"); err != nil {
		t.Errorf("Hold: %v", err)
	}
	if err := a.Queue.Remove(ctx, "gone"); err != nil {
		t.Errorf("Remove: %v", err)
	}
	b := open(t, dsn)
	if _, st, err := b.Load(ctx, "held"); err != nil || !st.Held {
		t.Errorf("%+v, %v", st, err)
	}
	if _, _, err := b.Load(ctx, "gone"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("it was said to be removed: %v", err)
	}
}
