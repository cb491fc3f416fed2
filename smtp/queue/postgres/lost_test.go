package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/postgres"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// cutter stands before a database, and breaks the connection in which a commit comes together with a text, once for each: before the server
// has it, or after.
type cutter struct {
	addr, to string
	after    bool
	text     atomic.Pointer[string]
	cuts     atomic.Int32
	away     atomic.Bool // nobody gets through afterwards
}

func newCutter(t *testing.T, db *peertest.Database, after bool) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &cutter{addr: l.Addr().String(), to: fmt.Sprint("127.0.0.1:", db.Port), after: after}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(conn)
		}
	}()
	return c
}

func (c *cutter) serve(from net.Conn) {
	defer from.Close()
	if c.away.Load() {
		return
	}
	to, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer to.Close()
	go func() { io.Copy(from, to); from.Close() }()
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if text := c.text.Load(); text != nil && bytes.Contains(buf[:n], []byte(*text)) && bytes.Contains(buf[:n], []byte("commit\x00")) {
			c.text.Store(nil)
			c.cuts.Add(1)
			if c.after {
				from.Close()
				to.Write(buf[:n])
				time.Sleep(200 * time.Millisecond) // the server does what it was told
			}
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestCut: the connection breaks in a commit. The change is made then, once; and where the database is away afterwards, nobody is told that it was.
func TestCut(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	for _, after := range []bool{false, true} {
		c := newCutter(t, db, after)
		base, err := database.Connect(t.Context(), fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", c.addr), database.Options{Schema: schema(t), Timeout: 3 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(base.Close)
		s, err := postgres.Open(t.Context(), base)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		cut := func(text string) { c.text.Store(&text) }
		put := func(id string) error {
			e := spooltest.Entry(id)
			w, err := s.Begin(t.Context(), e, queue.NewState(e))
			if err != nil {
				return err
			}
			defer w.Abort()
			io.WriteString(w, "text of "+id)
			return w.Commit(t.Context(), []byte("Top: x\r\n"))
		}
		id := fmt.Sprint("cut-", after)
		cut("text of " + id)
		if err := put(id); err != nil {
			t.Errorf("cut after %v: %v", after, err)
		}
		if err := put(id); !errors.Is(err, queue.ErrExists) {
			t.Errorf("again: %v", err)
		}
		r, err := s.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != "Top: x\r\ntext of "+id {
			t.Errorf("%q, %v", b, err)
		}
		_, st, err := s.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		st.Route = "route-" + id
		cut(st.Route)
		if err := s.Save(t.Context(), id, st); err != nil {
			t.Errorf("Save: %v", err)
		}
		if _, st, err := s.Load(t.Context(), id); err != nil || st.Route != "route-"+id {
			t.Errorf("%+v, %v", st, err)
		}
		cut(id)
		if err := s.Remove(t.Context(), id); err != nil && !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Remove: %v", err)
		}
		if _, _, err := s.Load(t.Context(), id); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if n := c.cuts.Load(); n != 3 {
			t.Errorf("%d cuts", n)
		}
		cut("text of away")
		c.away.Store(true)
		if err := put("away"); err == nil {
			t.Error("nobody knows, and it is told that it is stored")
		}
		c.away.Store(false)
	}
}

// TestPiecesLost: pieces of a large message are not durable before its commit. If the server has lost them since, it is not queued.
func TestPiecesLost(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	s, sql := open(t, dsn), beside(t, dsn)
	e := spooltest.Entry("large")
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	text := strings.Repeat("0123456789abcde\r\n", 40_000)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	sql(`delete from $.queue_body where n = 1`)
	if err := w.Commit(context.Background(), nil); err == nil {
		t.Error("a message of which pieces are missing is queued")
	}
	if _, _, err := s.Load(t.Context(), "large"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
