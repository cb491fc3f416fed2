package queue

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// countless is a Spool that holds n entries without taking any room: Scan makes
// them up.
type countless struct {
	*memory
	n    int
	next time.Time
}

func (c *countless) Scan(_ context.Context, each func(string, *State) error) error {
	st := &State{Queued: c.next.Add(-time.Hour), Size: 2048, To: []RcptState{{Status: Pending, Next: c.next}}}
	for i := range c.n {
		st.To[0].Next = c.next.Add(time.Duration(i*7919%3600) * time.Second)
		if err := each(NewID(st.Queued.Add(time.Duration(i)*time.Millisecond)), st); err != nil {
			return err
		}
	}
	return nil
}

// largeQueue is a queue of n entries that are due later.
func largeQueue(tb testing.TB, n int) (q *Queue, stop func()) {
	c := &countless{memory: newMemory(), n: n, next: time.Now().Add(10 * time.Minute)}
	q = &Queue{Spool: c, Transport: &world{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	entries := func() int {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.index)
	}
	q.start()
	for entries() < n {
		time.Sleep(10 * time.Millisecond)
	}
	return q, func() { cancel(); <-done }
}

func heapNow() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory is what memory holds of 1,000,000 entries.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		before := heapNow()
		q, stop := largeQueue(b, 1_000_000)
		b.ReportMetric(float64(heapNow()-before)/1e6, "MB")
		stop()
		runtime.KeepAlive(q)
	}
}

// BenchmarkOldest is choosing the 100 oldest of 1,000,000 entries.
func BenchmarkOldest(b *testing.B) {
	q, stop := largeQueue(b, 1_000_000)
	defer stop()
	for b.Loop() {
		if len(q.oldest(100, false, beforeAll)) != 100 {
			b.Fatal("not 100")
		}
	}
}

// BenchmarkHeap is one entry filed under another time, among 1,000,000.
func BenchmarkHeap(b *testing.B) {
	q, stop := largeQueue(b, 1_000_000)
	defer stop()
	b.ReportAllocs()
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now().Add(2 * time.Hour).UnixNano()
	for b.Loop() {
		it := q.wait[0]
		now++
		it.next = now
		q.wait.put(it)
	}
}

// TestMemoryPerEntry keeps the promise of 1,000,000 entries in 500 MB, with
// room for the rest of the process.
func TestMemoryPerEntry(t *testing.T) {
	const n = 50_000
	before := heapNow()
	q, stop := largeQueue(t, n)
	defer stop()
	per := (heapNow() - before) / n
	if per > 300 {
		t.Errorf("%d octets per entry", per)
	}
	runtime.KeepAlive(q)
	t.Log(fmt.Sprint(per, " octets per entry"))
}
