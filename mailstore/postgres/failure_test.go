package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

const ann, ben = "ann@example.org", "ben@example.org"

// open opens a store.
func open(t *testing.T, dsn string, opts ...postgres.Option) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func deliver(ctx context.Context, s *postgres.Store, text string, users ...string) error {
	d, err := s.Create(ctx, mailstore.Meta{}, users...)
	if err != nil {
		return err
	}
	defer d.Abort()
	if _, err := io.WriteString(d, text); err != nil {
		return err
	}
	return d.Commit(ctx, nil)
}

// texts are the messages of a mailbox, and how often each is there.
func texts(t *testing.T, s *postgres.Store, user string) map[string]int {
	t.Helper()
	m, err := s.Open(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	all := make(map[string]int)
	for _, text := range mailtest.Texts(t, m) {
		all[text]++
	}
	return all
}

// cutter stands between a store and its database, and cuts the connection when a commit comes by.
type cutter struct {
	net.Listener
	to    string
	cut   atomic.Pointer[string] // when this text comes by with its commit
	after bool                   // the server still gets it
	shut  atomic.Int32           // no new connections while it is not 0
	away  atomic.Bool            // that of a cut is the last sign of the database: no other connection has a word of it any more
	cuts  atomic.Int32
	waits time.Duration // until the server has answered, at most; what it has read it does

	out    atomic.Bool // the database is away
	silent atomic.Bool // the server is not told that the connection is gone, until the test is over
	gone   chan struct{}
}

func newCutter(t *testing.T, to string, after bool) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, to: to, after: after, waits: time.Minute, gone: make(chan struct{})}
	t.Cleanup(func() { close(c.gone); l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if c.shut.Load() > 0 || c.out.Load() {
				conn.Close()
				continue
			}
			go c.serve(conn)
		}
	}()
	return c
}

// counter counts octets.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func (c *cutter) serve(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer to.Close()
	var answers atomic.Int64
	go func() {
		io.Copy(io.MultiWriter(counter{&answers}, from), to)
		from.Close() // as the server did: the driver waits for it
	}()
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if text := c.cut.Load(); text != nil && bytes.Contains(buf[:n], []byte(*text)) && bytes.Contains(buf[:n], []byte("commit\x00")) {
			c.cuts.Add(1)
			c.out.Store(c.away.Load())
			if c.silent.Load() {
				from.Close()
				<-c.gone
				return
			}
			if c.after {
				c.shut.Add(1) // the driver would ask the server to stop
				before := answers.Load()
				to.Write(buf[:n])
				from.Close()
				for end := time.Now().Add(c.waits); answers.Load() == before && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				c.shut.Add(-1)
			}
			return
		}
		if c.out.Load() {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestCutInCommit: where the connection breaks in the middle of a commit the store finds out what became of it, and says so.
func TestCutInCommit(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	direct := open(t, peertest.DSN(db))
	for name, after := range map[string]bool{"before the server has it": false, "after it": true} {
		c := newCutter(t, fmt.Sprint("127.0.0.1:", db.Port), after)
		s := open(t, fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", c.Addr()), postgres.WithTimeout(5*time.Second))
		for i := range 3 {
			text := fmt.Sprint(name, i, "\r\n")
			c.cut.Store(&text)
			err := deliver(t.Context(), s, text, ann)
			if c.cuts.Load() != int32(i+1) {
				t.Fatalf("%s: %d cuts", name, c.cuts.Load())
			}
			if stored := texts(t, direct, ann)[text]; (err == nil) != after || (stored == 1) != after || errors.Is(err, mailstore.ErrUncertain) {
				t.Errorf("%s: %v, and it is there %d times", name, err, stored)
			}
		}
		if err := deliver(t.Context(), s, "before\r\n", ben); err != nil {
			t.Fatal(err)
		}
		var idle []*pgxpool.Conn // of which one is there to ask by
		for range 2 {
			conn, err := s.Database().Pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			idle = append(idle, conn)
		}
		for _, conn := range idle {
			conn.Release()
		}
		text := "nobody knows\r\n"
		c.cut.Store(&text)
		c.away.Store(true) // or it might be asked by a connection that is open still, and found out
		if err := deliver(t.Context(), s, text, ann); !errors.Is(err, mailstore.ErrUncertain) {
			t.Errorf("%s, and the database is away then: %v", name, err)
		}
	}
}

// sql runs a statement beside the store.
func sql(t *testing.T, db *peertest.Database, text string) {
	t.Helper()
	sqlAt(t, peertest.DSN(db), text)
}

func sqlAt(t *testing.T, dsn, text string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// answer is the number that a question has for an answer; -1 if there is none.
func answer(t *testing.T, dsn, question string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), question).Scan(&n); err != nil {
		return -1
	}
	return n
}

// TestWaitCancelled: PostgreSQL confirms a commit whose wait for the standby an operator has cancelled, with a warning. It is no
// promise, and nothing is acknowledged.
func TestWaitCancelled(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t, "synchronous_standby_names = 'second'")
	standby := db.Standby(t, "second")
	var s *postgres.Store
	peertest.Await(t, "the standby to count", func() (ok bool) {
		var err error
		s, err = postgres.Open(t.Context(), peertest.DSN(db), postgres.WithReplicas(1), postgres.WithTimeout(4*time.Second))
		return err == nil
	})
	t.Cleanup(func() { s.Close() })
	if err := deliver(t.Context(), s, "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	standby.Freeze()
	done := make(chan error, 1)
	go func() { done <- deliver(t.Context(), s, "two\r\n", ann) }()
	c, err := pgx.Connect(t.Context(), peertest.DSN(db))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for n := 0; n == 0; time.Sleep(10 * time.Millisecond) {
		if err := c.QueryRow(t.Context(), `select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; !errors.Is(err, mailstore.ErrUncertain) {
		t.Errorf("cancelled: %v", err)
	}
	standby.Thaw()
	if err := deliver(t.Context(), s, "three\r\n", ann); err != nil {
		t.Errorf("the standby is back: %v", err)
	}
}

// writers deliver to both mailboxes until stop, and return what was acknowledged; so far says how many that are already.
func writers(t *testing.T, s *postgres.Store, n int, stop <-chan struct{}) (result func() []string, sofar func() int) {
	var mu sync.Mutex
	var acked []string
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Sprintf("%d/%d%s\r\n", w, i, strings.Repeat("x", i%7*20_000))
				if err := deliver(context.Background(), s, text, ann, ben); err == nil {
					mu.Lock()
					acked = append(acked, text)
					mu.Unlock()
				} else {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	sofar = func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	return func() []string {
		wg.Wait()
		return acked
	}, sofar
}

// TestFailover: the primary is killed under load and the standby takes its place, round after round: nothing that was acknowledged is
// missing, or there twice. The primary of before is used no more when it comes back, though it stands first in the list.
func TestFailover(t *testing.T) {
	t.Parallel()
	rounds := 2
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		primary := peertest.Postgres(t, "synchronous_standby_names = 'second'")
		standby := primary.Standby(t, "second")
		seen := filepath.Join(t.TempDir(), "seen")
		dsn := peertest.DSN(primary, standby)
		s := open(t, dsn, postgres.WithTimeout(10*time.Second), postgres.WithMemory(seen))
		stop := make(chan struct{})
		result, sofar := writers(t, s, 8, stop)
		peertest.Await(t, "mail", func() bool { return sofar() >= 20 })
		primary.TakeOver(t, standby)
		before := sofar()
		peertest.Await(t, "mail at the other server", func() bool { return sofar() >= before+20 })
		close(stop)
		acked := result()
		for _, user := range []string{ann, ben} {
			got := texts(t, s, user)
			for _, text := range acked {
				if got[text] != 1 {
					t.Errorf("%s has %.20q %d times", user, text, got[text])
				}
			}
		}
		primary.Start(t)
		sql(t, primary, "alter system set synchronous_standby_names = ''")
		sql(t, primary, "select pg_reload_conf()")
		for range 20 {
			if err := deliver(t.Context(), s, "later\r\n", ann); err != nil {
				t.Errorf("with the old primary back: %v", err)
			}
		}
		s.Close()
		s = open(t, dsn, postgres.WithMemory(seen))
		if n := texts(t, s, ann)["later\r\n"]; n != 20 {
			t.Errorf("after a restart %d of 20", n)
		}
		if _, err := postgres.Open(t.Context(), peertest.DSN(primary), postgres.WithMemory(seen)); err == nil || !strings.Contains(err.Error(), "older than one that was seen") {
			t.Errorf("the old primary alone: %v", err)
		}
	}
}

// TestFailoverLoses: without a synchronous standby the same loses mail. So TestFailover would notice.
func TestFailoverLoses(t *testing.T) {
	t.Parallel()
	primary := peertest.Postgres(t)
	standby := primary.Standby(t, "second")
	dsn := peertest.DSN(primary, standby)
	if _, err := postgres.Open(t.Context(), dsn, postgres.WithReplicas(1)); err == nil || !strings.Contains(err.Error(), "synchronous") {
		t.Errorf("a server without a synchronous standby where one is wanted: %v", err)
	}
	s := open(t, dsn, postgres.WithTimeout(10*time.Second))
	if err := deliver(t.Context(), s, "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	second := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", standby.Port)
	peertest.Await(t, "the first message at the standby", func() bool { return answer(t, second, "select count(*) from postrider.body") == 1 })
	for _, text := range []string{"alter system set primary_conninfo = ''", "select pg_reload_conf()"} {
		sqlAt(t, second, text)
	}
	peertest.Await(t, "the standby to hear no more", func() bool { return answer(t, second, "select count(*) from pg_stat_wal_receiver") == 0 })
	if err := deliver(t.Context(), s, "two\r\n", ann); err != nil {
		t.Fatal(err)
	}
	primary.TakeOver(t, standby)
	if got := texts(t, s, ann); got["two\r\n"] != 0 {
		t.Errorf("it is there: %v", got)
	}
}

// TestRefusedServers: a server that does not keep what it confirms is refused, by name.
func TestRefusedServers(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	for line, want := range map[string]string{"fsync = off": "fsync is off", "full_page_writes = off": "full_page_writes is off", "synchronous_commit = off": "synchronous_commit is off"} {
		name, _, _ := strings.Cut(line, " ")
		sql(t, db, "alter system set "+line)
		sql(t, db, "select pg_reload_conf()")
		peertest.Await(t, line, func() bool {
			s, err := postgres.Open(t.Context(), peertest.DSN(db))
			if err == nil {
				s.Close()
			}
			return err != nil && strings.Contains(err.Error(), want)
		})
		sql(t, db, "alter system reset "+name)
		sql(t, db, "select pg_reload_conf()")
	}
	if err := postgres.Try(t.Context(), peertest.DSN(db)); err != nil {
		t.Errorf("a good one: %v", err)
	}
	sql(t, db, "do $$ begin if exists (select from pg_namespace where nspname = 'postrider') then raise 'something was made'; end if; end $$")
	standby := db.Standby(t, "second")
	if err := postgres.Try(t.Context(), peertest.DSN(standby)); err == nil || !strings.Contains(err.Error(), "in recovery") {
		t.Errorf("a standby is tried: %v", err)
	}
	if _, err := postgres.Open(t.Context(), peertest.DSN(standby)); err == nil || !strings.Contains(err.Error(), "in recovery") {
		t.Errorf("a standby: %v", err)
	}
	sql(t, db, "create schema other; create table other.things (n int)")
	if _, err := postgres.Open(t.Context(), peertest.DSN(db), postgres.WithSchema("other")); err == nil || !strings.Contains(err.Error(), "holds something else") {
		t.Errorf("a schema of something else: %v", err)
	}
	open(t, peertest.DSN(db)).Close()
	sql(t, db, "update postrider.version set number = 99")
	if _, err := postgres.Open(t.Context(), peertest.DSN(db)); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("tables of a later version: %v", err)
	}
	if _, err := postgres.Open(t.Context(), "postgres://u:hunter2@127.0.0.1:notaport/x"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a string that cannot be read: %v", err)
	}
}

// TestAway: a database that is away is trouble for now, and over by itself.
func TestAway(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	s := open(t, peertest.DSN(db), postgres.WithTimeout(2*time.Second))
	if err := deliver(t.Context(), s, "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	db.Kill()
	if err := deliver(t.Context(), s, "two\r\n", ann); err == nil {
		t.Error("stored where there is no database")
	}
	if _, err := s.Open(t.Context(), ann); !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("open: %v", err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("check: %v", err)
	}
	db.Start(t)
	peertest.Await(t, "the store to be well again", func() bool { return s.Check(t.Context()) == nil })
	if err := deliver(t.Context(), s, "three\r\n", ann); err != nil {
		t.Error(err)
	}
	if got := texts(t, s, ann); got["one\r\n"] != 1 || got["three\r\n"] != 1 {
		t.Errorf("%v", got)
	}
}
