package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// TestLargeInLittleMemory: a message of 16 MiB is written and read with less than 4 MiB of memory. Not parallel: all that lives is counted.
func TestLargeInLittleMemory(t *testing.T) {
	largeInLittleMemory(t, open(t, peertest.DSN(peertest.Postgres(t))))
}

func largeInLittleMemory(t *testing.T, s *postgres.Store) {
	t.Helper()
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const most, size = 4 << 20, 16 << 20
	before := live()
	check := func(doing string) {
		t.Helper()
		if now := live(); now > before+most {
			t.Errorf("%s: %d octets of memory", doing, now-before)
		} else {
			t.Logf("%s: %d KiB", doing, int64(now-before)>>10)
		}
	}
	piece := bytes.Repeat([]byte("0123456789abcdef\r\n"), 1<<16/18)
	d, err := s.Create(t.Context(), mailstore.Meta{}, ann)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	written := 0
	for half := false; written < size; written += len(piece) {
		if _, err := d.Write(piece); err != nil {
			t.Fatal(err)
		}
		if !half && written > size/2 {
			half = true
			check("written by half")
		}
	}
	if err := d.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	m, err := s.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r, err := m.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, size/2); err != nil {
		t.Fatal(err)
	}
	check("read by half")
	if n, err := io.Copy(io.Discard, r); err != nil || n+size/2 != int64(written) {
		t.Errorf("%d octets of %d, %v", n+size/2, written, err)
	}
}

// TestOpenDropsHoldNothing: maildrops that are open hold no connection, however many there are.
func TestOpenDropsHoldNothing(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	const connections, many = 6, 2_000
	s := open(t, dsn, postgres.WithConnections(connections))
	c, err := pgx.Connect(t.Context(), strings.Replace(dsn, "sslmode", "application_name=test&sslmode", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), `insert into postrider.box (name, domain) select 'user' || n || '@example.org', 'example.org' from generate_series(1, $1) n`, many); err != nil {
		t.Fatal(err)
	}
	drops := make(chan mailstore.Maildrop, many)
	failed := make(chan error, 20)
	for w := range cap(failed) {
		go func() {
			for i := w + 1; i <= many; i += cap(failed) {
				m, err := s.Open(t.Context(), fmt.Sprintf("user%d@example.org", i))
				if err != nil {
					failed <- err
					return
				}
				drops <- m
			}
			failed <- nil
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	if err := deliver(t.Context(), s, "beside them\r\n", ann); err != nil {
		t.Error(err)
	}
	if len(drops) != many {
		t.Errorf("%d maildrops are open", len(drops))
	}
	peertest.Await(t, "a moment in which no connection is busy", func() bool { // now and then the locks are renewed
		var all, busy int
		if err := c.QueryRow(t.Context(), `select count(*), count(*) filter (where state <> 'idle') from pg_stat_activity where application_name = 'postrider'`).Scan(&all, &busy); err != nil {
			t.Fatal(err)
		}
		if all > connections {
			t.Fatalf("%d connections", all)
		}
		return busy == 0
	})
	close(drops)
	if err := errors.Join((<-drops).Close(), (<-drops).Close()); err != nil { // the others end with the store
		t.Error(err)
	}
}
