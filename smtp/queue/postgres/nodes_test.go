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

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/postgres"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// post is a Transport that keeps what it is given, by the entry.
type post struct {
	mu    sync.Mutex
	got   map[string][]string // the texts
	fails map[string]error    // of Open
	// wait, if not nil, is called before the message is opened, and answer after it was read.
	wait   func(d *queue.Delivery)
	answer func(d *queue.Delivery) queue.Result
}

func newPost() *post { return &post{got: map[string][]string{}, fails: map[string]error{}} }

func (p *post) Destination(r queue.Recipient, route string) string { return route + r.Path.Domain }

func (p *post) Deliver(_ context.Context, d *queue.Delivery) []queue.Result {
	if p.wait != nil {
		p.wait(d)
	}
	result := queue.Result{Status: queue.Pending, Text: "cannot be read"}
	r, err := d.Open()
	var text []byte
	if err == nil {
		text, err = io.ReadAll(r)
		r.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.fails[d.Entry.ID] = err
	} else {
		p.got[d.Entry.ID] = append(p.got[d.Entry.ID], string(text))
		result = queue.Result{Status: queue.Delivered, Code: 250}
		if p.answer != nil {
			result = p.answer(d)
		}
	}
	results := make([]queue.Result, len(d.To))
	for i := range results {
		results[i] = result
	}
	return results
}

func (p *post) times(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got[id])
}

// node is one server of several.
type node struct {
	*queue.Queue
	spool *postgres.Spool
	post  *post
	stop  func()
}

// start starts a node, called name.
func start(t *testing.T, dsn, name string, set func(n *node)) *node {
	t.Helper()
	n := &node{spool: open(t, dsn, postgres.WithName(name), postgres.WithLogger(slog.New(slog.DiscardHandler))), post: newPost()}
	n.Queue = &queue.Queue{Spool: n.spool, Transport: n.post, Grace: time.Second, Log: slog.New(slog.DiscardHandler)}
	n.Schedule.First = time.Second
	if set != nil {
		set(n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}()
	n.stop = sync.OnceFunc(func() { cancel(); <-done; n.spool.Close() })
	t.Cleanup(n.stop)
	return n
}

// submit queues a message for someone at a domain.
func (n *node) submit(t *testing.T, id, domain string) {
	t.Helper()
	e := &queue.Entry{ID: id, From: smtp.Path{Local: "ann", Domain: "example.org"}, Session: "s-" + id, User: "ann@example.org",
		To: []queue.Recipient{{Path: smtp.Path{Local: "bob", Domain: domain}}}}
	if err := n.Submit(t.Context(), e, strings.NewReader("text of "+id)); err != nil {
		t.Fatal(err)
	}
}

func beside(t *testing.T, dsn string) func(text string, args ...any) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return func(text string, args ...any) {
		t.Helper()
		if _, err := c.Exec(t.Context(), strings.ReplaceAll(text, "$.", schema(t)+"."), args...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTakenOver: a node hangs in the middle of an attempt, for longer than its claim lasts. Another sends the message; the one that
// wakes up gets none of it to send any more, and what it says of its attempt changes nothing.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	hangs, wakes := make(chan struct{}, 10), make(chan struct{})
	sent := make(chan struct{}, 10)
	a := start(t, dsn, "a", func(n *node) {
		n.Schedule.First = time.Hour
		n.post.wait = func(d *queue.Delivery) {
			if d.Entry.ID == "before" {
				hangs <- struct{}{}
				<-wakes
			}
		}
		n.post.answer = func(d *queue.Delivery) queue.Result { // it has sent it, and hangs then
			if d.Entry.ID == "after" {
				sent <- struct{}{}
				<-wakes
			}
			return queue.Result{Status: queue.Delivered}
		}
	})
	a.submit(t, "before", "example.net")
	<-hangs
	b := start(t, dsn, "b", func(n *node) {
		n.Schedule.First = time.Hour
		n.post.answer = func(*queue.Delivery) queue.Result { return queue.Result{Status: queue.Pending, Code: 450} }
	})
	if v, err := b.Show(t.Context(), "before"); err != nil || v.Node != "a" || v.Active {
		t.Errorf("%+v, %v", v, err)
	}
	if x, err := b.Explain(t.Context(), "before"); err != nil || !strings.Contains(strings.Join(x.Why, " "), "a has it") {
		t.Errorf("%+v, %v", x.Why, err)
	}
	sql := beside(t, dsn)
	a.submit(t, "after", "example.com")
	<-sent
	sql(`update $.queue set due = now() - interval '1 second', orders = '[{"kind":"retry"}]'`) // as if the lease were over
	peertest.Await(t, "the other to send both", func() bool { return b.post.times("before") > 0 && b.post.times("after") > 0 })
	close(wakes)
	peertest.Await(t, "the first to be refused the message", func() bool {
		a.post.mu.Lock()
		defer a.post.mu.Unlock()
		return a.post.fails["before"] != nil
	})
	a.post.mu.Lock()
	if err := a.post.fails["before"]; !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Open: %v", err)
	}
	a.post.mu.Unlock()
	a.stop()
	for _, id := range []string{"before", "after"} { // what it knows is not b's
		if v, err := b.Show(t.Context(), id); err != nil || v.Recipients[0].Code != 450 {
			t.Errorf("%s: %+v, %v", id, v, err)
		}
	}
	if n := a.post.times("before"); n != 0 {
		t.Errorf("sent %d times by who had lost it", n)
	}
}

// TestSteer: each node obeys orders about entries that it has, that another has, and that nobody has.
func TestSteer(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	let := make(chan struct{})
	busy := make(chan string, 10)
	a := start(t, dsn, "a", func(n *node) {
		n.post.wait = func(d *queue.Delivery) {
			if strings.HasPrefix(d.Entry.ID, "busy") {
				busy <- d.Entry.ID
				<-let
			}
		}
		n.post.answer = func(d *queue.Delivery) queue.Result {
			if d.Route == "" {
				return queue.Result{Status: queue.Pending, Code: 450}
			}
			return queue.Result{Status: queue.Delivered, Code: 250}
		}
		n.Schedule.First = time.Hour
	})
	b := start(t, dsn, "b", func(n *node) { n.Schedule.First = time.Hour; n.post.answer = a.post.answer })
	ctx := t.Context()
	for _, id := range []string{"busy1", "busy2", "idle1", "idle2"} {
		a.submit(t, id, id+".example")
	}
	<-busy
	<-busy
	peertest.Await(t, "attempts to fail", func() bool {
		v1, _ := b.Show(ctx, "idle1")
		v2, _ := b.Show(ctx, "idle2")
		return len(v1.Recipients) == 1 && len(v2.Recipients) == 1 && v1.Recipients[0].Code == 450 && v2.Recipients[0].Code == 450
	})
	if n, err := b.CountHeld(ctx, "ann@example.org", ""); n != 0 || err != nil {
		t.Errorf("%d held, %v", n, err)
	}
	for _, id := range []string{"busy1", "idle1"} {
		if err := b.Hold(ctx, id); err != nil {
			t.Fatal(err)
		}
		if v, err := b.Show(ctx, id); err != nil || !v.Held {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if err := errors.Join(b.Remove(ctx, "busy2"), b.Remove(ctx, "idle2")); err != nil {
		t.Fatal(err)
	}
	if err := b.Hold(ctx, "none"); !errors.Is(err, queue.ErrNotFound) {
		t.Error(err)
	}
	close(let)
	peertest.Await(t, "what is held to be held by all", func() bool {
		n, err := a.CountHeld(ctx, "ann@example.org", "")
		v, _ := a.Show(ctx, "busy1")
		return n == 2 && err == nil && !v.Active && v.Node == ""
	})
	list, err := a.List(ctx, queue.Filter{})
	if err != nil || len(list) != 2 || list[0].ID != "busy1" || list[1].ID != "idle1" {
		t.Fatalf("%+v, %v", list, err)
	}
	if found, err := a.Find(ctx, "s"); err != nil || len(found) != 2 {
		t.Errorf("%v, %v", found, err)
	}
	if err := b.Release(ctx, "busy1"); err != nil {
		t.Fatal(err)
	}
	if err := b.Route(ctx, "busy1", "other "); err != nil {
		t.Fatal(err)
	}
	if n, err := a.ReleaseAll(ctx, "ann@example.org", ""); n != 1 || err != nil {
		t.Errorf("%d released, %v", n, err)
	}
	if err := a.Route(ctx, "idle1", "other "); err != nil {
		t.Fatal(err)
	}
	peertest.Await(t, "both to leave another way", func() bool { list, err := b.List(ctx, queue.Filter{}); return err == nil && len(list) == 0 })
	b.submit(t, "late", "late.example")
	peertest.Await(t, "an attempt", func() bool { v, _ := a.Show(ctx, "late"); return len(v.Recipients) == 1 && v.Recipients[0].Code == 450 })
	tried := func() int { return a.post.times("late") + b.post.times("late") }
	before := tried()
	if n, err := a.Flush(ctx, ""); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	peertest.Await(t, "another attempt", func() bool { return tried() > before })
}

// TestGivenBack: a node that ends gives back what it has not tried yet, and that costs it no wait; what does not fit into the memory of one
// is sent by the other.
func TestGivenBack(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	let := make(chan struct{})
	a := start(t, dsn, "a", func(n *node) {
		n.Schedule.First, n.Concurrency = time.Hour, 1 // memory for ten
		n.post.wait = func(*queue.Delivery) { <-let }
		n.post.answer = func(*queue.Delivery) queue.Result { return queue.Result{Status: queue.Delivered} }
	})
	const all = 30
	for i := range all {
		a.submit(t, fmt.Sprint("e", i), "example.net")
	}
	go func() { time.Sleep(50 * time.Millisecond); close(let) }()
	a.stop()
	b := start(t, dsn, "b", func(n *node) { n.Schedule.First = time.Hour })
	peertest.Await(t, "all to leave", func() bool {
		return b.Counters().Entries == 0 || func() bool { l, _ := b.List(t.Context(), queue.Filter{}); return len(l) == 0 }()
	})
	for i := range all {
		id := fmt.Sprint("e", i)
		if n := a.post.times(id) + b.post.times(id); n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

// TestShares: nodes share the connections to one destination.
func TestShares(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	spools := []*postgres.Spool{}
	for i := range 3 {
		s := open(t, dsn, postgres.WithName(fmt.Sprint("n", i)), postgres.WithLease(600*time.Millisecond))
		spools = append(spools, s)
	}
	peertest.Await(t, "the first to know of three", func() bool { return spools[0].Nodes() == 3 })
	spools[2].Close()
	peertest.Await(t, "the first to know of two", func() bool { return spools[0].Nodes() == 2 })
}

// anothers tests that a spool neither reads nor changes entries that another node has.
func anothers(t *testing.T, s *postgres.Spool, opened, saved, removed, released string) {
	t.Helper()
	st := queue.NewState(spooltest.Entry(saved))
	st.Route = "not mine"
	if _, err := s.Open(t.Context(), opened); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Open: %v", err)
	}
	if err := s.Save(t.Context(), saved, st); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Save: %v", err)
	}
	if err := s.Remove(t.Context(), removed); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Remove: %v", err)
	}
	s.Release(released, 0, false)
	if _, err := s.Take(t.Context(), released); !errors.Is(err, queue.ErrBusy) { // which writes down what was released
		t.Errorf("it gave back what is another's: %v", err)
	}
}

// TestFenced: who has lost an entry to another changes nothing of it and reads it no more, until he claims it anew.
func TestFenced(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	a, b, sql := open(t, dsn), open(t, dsn), beside(t, dsn)
	for _, id := range []string{"e1", "e2", "e3"} {
		e := spooltest.Entry(id)
		w, err := a.Begin(t.Context(), e, queue.NewState(e))
		if err == nil {
			err = w.Commit(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Claim(t.Context(), 10); len(got) != 0 || err != nil {
		t.Errorf("%d claimed that another has, %v", len(got), err)
	}
	if _, err := b.Take(t.Context(), "e1"); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("Take: %v", err)
	}
	sql(`update $.queue set due = now() - interval '1 second'`) // as if a had not been heard of
	if got, err := b.Claim(t.Context(), 2); len(got) != 2 || err != nil {
		t.Fatalf("%d claimed, %v", len(got), err)
	}
	if got, err := b.Claim(t.Context(), 10); len(got) != 1 || err != nil {
		t.Fatalf("%d claimed, %v", len(got), err)
	}
	anothers(t, a, "e1", "e1", "e2", "e3")
	news, err := a.News(t.Context())
	if err != nil || len(news.Lost) != 2 {
		t.Errorf("%+v, %v", news, err)
	}
	for _, id := range []string{"e1", "e2", "e3"} {
		if _, is, err := b.Load(t.Context(), id); err != nil || is.Route != "" {
			t.Errorf("%s: %+v, %v", id, is, err)
		}
		if err := b.Save(t.Context(), id, queue.NewState(spooltest.Entry(id))); err != nil {
			t.Errorf("Save: %v", err)
		}
		if err := b.Remove(t.Context(), id); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
}
