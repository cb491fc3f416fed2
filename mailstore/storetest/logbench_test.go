//go:build linux

package storetest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/measure"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// deliveries is a way to deliver messages of one size to 100 mailboxes.
func deliveries(b *testing.B, name string, s mailstore.Store, size, writers int) measure.Way {
	users := make([]string, 100)
	for i := range users {
		users[i] = fmt.Sprintf("u%d@example.org", i)
		put(b, s, "x\r\n", users[i])
	}
	body := strings.Repeat(strings.Repeat("x", 62)+"\r\n", size/64)
	ctx := context.Background()
	return measure.Way{Name: name, Run: func(n int) error {
		return measure.Spread(writers, n, func(i int) error {
			d, err := s.Create(ctx, mailstore.Meta{Size: int64(size)}, users[i%100])
			if err != nil {
				return err
			}
			if _, err := io.WriteString(d, body); err != nil {
				return err
			}
			return d.Commit(ctx, nil)
		})
	}}
}

func fresh(b *testing.B, base string) string {
	dir, err := os.MkdirTemp(base, "store-")
	if err != nil {
		b.Fatal(err)
	}
	return dir
}

func openMaildir(b *testing.B, dir string) *maildir.Store {
	s, err := maildir.Open(dir, maildir.WithReserve(0))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// BenchmarkStores compares the Maildir store, files by hand with an fsync for each
// and its directory, the prototype, and a bare log, taking turns.
func BenchmarkStores(b *testing.B) {
	base := measure.Dir(b)
	for _, size := range []int{2 << 10, 64 << 10} {
		for _, writers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("size=%dk/writers=%d", size>>10, writers), func(b *testing.B) {
				log, err := measure.NewLog(base)
				if err != nil {
					b.Fatal(err)
				}
				defer log.Close()
				each, err := measure.NewEach(base)
				if err != nil {
					b.Fatal(err)
				}
				data := make([]byte, size)
				n := max(min(16*writers, 64<<20/size), 30)
				ways := []measure.Way{
					deliveries(b, "maildir", openMaildir(b, fresh(b, base)), size, writers),
					{Name: "each", Run: func(n int) error {
						return measure.Spread(writers, n, func(int) error { return each.Put(data) })
					}},
					deliveries(b, "logstore", openLog(b, fresh(b, base)), size, writers),
					{Name: "log", Run: func(n int) error {
						return measure.Spread(writers, n, func(int) error { return log.Append(data) })
					}},
				}
				r := measure.Turns(b, base, n, ways...)
				for _, w := range ways {
					b.ReportMetric(r.Rate(w.Name), w.Name+"/s")
					b.ReportMetric(r.CPU(w.Name), w.Name+"-cpu-µs")
				}
				b.ReportMetric(r.Times("logstore", "maildir"), "x-maildir")
				b.ReportMetric(r.Times("logstore", "log"), "x-log")
			})
		}
	}
}

// BenchmarkLogStoreOpen fills a mailbox of the prototype with 100,000 messages of
// 2 kB and reports how long it takes to read the log again at a start, from
// memory and from the disk, what a message takes in memory, and how long it
// takes to open the maildrop.
func BenchmarkLogStoreOpen(b *testing.B) {
	const messages, user = 100_000, "big@example.org"
	dir := fresh(b, measure.Dir(b))
	l := openLog(b, dir)
	body := strings.Repeat(strings.Repeat("x", 62)+"\r\n", 32)
	err := measure.Spread(256, messages, func(int) error {
		d, err := l.Create(context.Background(), mailstore.Meta{}, user)
		if err == nil {
			_, _ = io.WriteString(d, body)
			err = d.Commit(context.Background(), nil)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	l.Close()
	var warm, cold, open, memory time.Duration
	b.ResetTimer()
	for range b.N {
		for _, from := range []*time.Duration{&cold, &warm} {
			if from == &cold {
				measure.Forget(dir)
			}
			before := heap()
			start := time.Now()
			l, err := openLogStore(dir)
			if err != nil {
				b.Fatal(err)
			}
			*from += time.Since(start)
			memory += time.Duration(heap() - before)
			start = time.Now()
			m, err := l.Open(context.Background(), user)
			if err != nil || m.Len() != messages {
				b.Fatal(err)
			}
			open += time.Since(start)
			m.Close()
			l.Close()
		}
	}
	b.StopTimer()
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(warm.Seconds()*1e3/n, "scan-ms")
	b.ReportMetric(cold.Seconds()*1e3/n, "scan-from-disk-ms")
	b.ReportMetric(open.Seconds()*1e6/n/2, "open-µs")
	b.ReportMetric(float64(memory)/n/2/messages, "octets/message")
	b.ReportMetric(float64(size(b, dir))/messages, "disk-octets/message")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func size(b *testing.B, dir string) (sum int64) {
	names, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	for _, n := range names {
		info, err := os.Stat(n)
		if err != nil {
			b.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
