package spool_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// BenchmarkScan is the start of a process that finds entries on disk: 2,000,
// or as many as QUEUE_ENTRIES says.
func BenchmarkScan(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("QUEUE_ENTRIES"))
	if err != nil {
		n = 2_000
	}
	dir := b.TempDir()
	s := open(b, dir)
	begun := time.Now()
	done := make(chan error)
	const writers = 64
	for w := range writers {
		go func() {
			for i := w; i < n; i += writers {
				if err := quick(b, s, fmt.Sprintf("e%07d", i)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d entries written at %.0f/s", n, float64(n)/time.Since(begun).Seconds())
	for b.Loop() {
		found := 0
		if err := s.Scan(b.Context(), func(string, *queue.State) error { found++; return nil }); err != nil || found != n {
			b.Fatalf("%d found, %v", found, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/entry")
}

func quick(b *testing.B, s queue.Spool, id string) error {
	e := spooltest.Entry(id)
	w, err := s.Begin(b.Context(), e, queue.NewState(e))
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(make([]byte, 2048)); err != nil {
		return err
	}
	return w.Commit(b.Context(), nil)
}

// BenchmarkAdd is one entry of 2 kB put on stable storage, from 32 sessions.
func BenchmarkAdd(b *testing.B) {
	s := open(b, b.TempDir())
	b.ReportAllocs()
	b.SetBytes(2048)
	b.SetParallelism(32)
	ids := make(chan int, 1024)
	go func() {
		for i := 0; ; i++ {
			select {
			case ids <- i:
			case <-b.Context().Done():
				return
			}
		}
	}()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := quick(b, s, fmt.Sprintf("e%07d", <-ids)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
