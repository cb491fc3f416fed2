package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/postgres"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// heap puts n entries into the queue, due so long from now, with texts of 2 kB or without.
func heap(b *testing.B, dsn string, n int, due time.Duration, texts bool) {
	b.Helper()
	c, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close(context.Background())
	e := spooltest.Entry("number")
	e.Params.By, e.To = nil, e.To[:1] // or it would be late
	e.To = e.To[:1]
	st := queue.NewState(e)
	st.To[0].Next = time.Now().Add(due)
	schema := schema(b)
	if _, err := c.Exec(b.Context(), fmt.Sprintf(`insert into %s.queue (id, queued, size, held, claim, due, body, chunks, top, envelope, state)
		select 'e' || i, i, 2048, false, 0, now() + $2::interval, gen_random_uuid(), $5, '', convert_to(replace($3, 'id: number', 'id: e' || i), 'UTF8'), $4 from generate_series(1, $1::int) i`, schema),
		n, due, string(spool.FormatEntry(e)), spool.FormatState(st), map[bool]int{true: 1}[texts]); err != nil {
		b.Fatal(err)
	}
	if !texts {
		return
	}
	for _, text := range []string{
		`insert into ` + schema + `.queue_body (body, n, data) select body, 0, decode(repeat('41', 2048), 'hex') from ` + schema + `.queue`,
		`vacuum analyze ` + schema + `.queue`, `checkpoint`,
	} {
		if _, err := c.Exec(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSettle: four nodes claim entries and remove them, or write the attempt down before.
func BenchmarkSettle(b *testing.B) {
	dsn := peertest.DSN(peertest.Postgres(b))
	for _, attempt := range []bool{false, true} {
		b.Run(fmt.Sprintf("attempt=%v", attempt), func(b *testing.B) {
			var nodes []*postgres.Spool
			for range 4 {
				nodes = append(nodes, open(b, dsn))
			}
			heap(b, dsn, b.N, -time.Second, true)
			b.ResetTimer()
			var settled atomic.Int64
			var all sync.WaitGroup
			for _, s := range nodes {
				all.Go(func() {
					for settled.Load() < int64(b.N) {
						got, err := s.Claim(b.Context(), 500)
						if err != nil {
							b.Error(err)
							return
						}
						var each sync.WaitGroup
						for _, c := range got {
							each.Go(func() {
								if attempt {
									if err := s.Save(b.Context(), c.Entry.ID, c.State); err != nil {
										b.Error(err)
									}
								}
								if err := s.Remove(b.Context(), c.Entry.ID); err != nil {
									b.Error(err)
								}
								settled.Add(1)
							})
						}
						each.Wait()
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkQueue: writers take mail of 2 kB into the queue.
func BenchmarkQueue(b *testing.B) {
	s := open(b, peertest.DSN(peertest.Postgres(b)))
	text := make([]byte, 2048)
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e := spooltest.Entry(fmt.Sprint("e", n.Add(1)))
			w, err := s.Begin(b.Context(), e, queue.NewState(e))
			if err == nil {
				w.Write(text)
				err = w.Commit(b.Context(), nil)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkStart: a node starts beside a million entries that wait, and has tried the first that is due: how long that takes, what it holds then, and
// what a count and the first page of a list take.
func BenchmarkStart(b *testing.B) {
	dsn := peertest.DSN(peertest.Postgres(b))
	open(b, dsn).Close()
	heap(b, dsn, 1_000_000, time.Hour, false)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		s := open(b, dsn)
		p := newPost()
		q := &queue.Queue{Spool: s, Transport: p, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- q.Run(ctx) }()
		c, err := pgx.Connect(ctx, dsn)
		if err != nil {
			b.Fatal(err)
		}
		for p.times("e7") == 0 {
			if _, err := c.Exec(ctx, `update `+schema(b)+`.queue set due = now(), orders = '[{"kind":"retry"}]' where id = 'e7' and node is null`); err != nil {
				b.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-send")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/1e6, "MB")
		began = time.Now()
		counted := q.Counters()
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-count")
		began = time.Now()
		list, err := q.List(ctx, queue.Filter{})
		if err != nil || len(list) != 100 || counted.Entries < 999_990 {
			b.Fatalf("%d listed of %d, %v", len(list), counted.Entries, err)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-list")
		cancel()
		<-done
		s.Close()
		c.Close(context.Background())
	}
}

// BenchmarkSteerAll: all entries are made due, those of one domain are, and all that are held of one user are released. POSTRIDER_ENTRIES says how many there
// are, 20,000 where it says nothing.
func BenchmarkSteerAll(b *testing.B) {
	entries := 20_000
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_ENTRIES")); err == nil {
		entries = n
	}
	dsn := peertest.DSN(peertest.Postgres(b))
	s := open(b, dsn)
	heap(b, dsn, entries, time.Hour, false)
	c, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close(context.Background())
	st := queue.NewState(spooltest.Entry("x"))
	st.To, st.Held, st.Cause = st.To[:1], true, "stopped"
	q := &queue.Queue{Spool: s, Transport: newPost(), Log: slog.New(slog.DiscardHandler)}
	ready, cancel := context.WithCancel(b.Context())
	cancel()
	q.Run(ready) // it knows what there is
	for b.Loop() {
		for _, do := range []struct {
			name string
			f    func() (int, error)
			want int
		}{
			{"flush", func() (int, error) { return q.Flush(b.Context(), "") }, entries},
			{"flush-domain", func() (int, error) { return q.Flush(b.Context(), "example.net") }, entries},
			{"release", func() (int, error) { return q.ReleaseAll(b.Context(), "ann@example.org", "stopped") }, entries},
		} {
			if _, err := c.Exec(b.Context(), `update `+schema(b)+`.queue set orders = null, due = 'infinity', node = null`); err != nil {
				b.Fatal(err)
			}
			if do.name == "release" {
				if _, err := c.Exec(b.Context(), `update `+schema(b)+`.queue set held = true, login = 'ann@example.org', state = $1`, spool.FormatState(st)); err != nil {
					b.Fatal(err)
				}
			}
			began := time.Now()
			n, err := do.f()
			if err != nil || n != do.want {
				b.Errorf("%s: %d, %v", do.name, n, err)
			}
			b.ReportMetric(time.Since(began).Seconds(), "s-to-"+do.name)
		}
	}
}
