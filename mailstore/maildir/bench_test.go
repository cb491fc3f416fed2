package maildir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/measure"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// BenchmarkDeliver delivers to 100 mailboxes, with the store, and files by
// hand with an fsync for every one and its directory.
func BenchmarkDeliver(b *testing.B) {
	base := measure.Dir(b)
	for _, size := range []int{2 << 10, 64 << 10, 5 << 20} {
		for _, writers := range []int{1, 64} {
			for name, way := range map[string]measure.Way{
				"group":   deliveries(b, base, "", size, writers),
				"perfile": byHand(b, base, "", size, writers),
			} {
				b.Run(fmt.Sprintf("size=%dk/writers=%d/%s", size>>10, writers, name), func(b *testing.B) {
					benchDeliver(b, way, size)
				})
			}
		}
	}
}

func benchDeliver(b *testing.B, way measure.Way, size int) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	if err := way.Run(b.N); err != nil {
		b.Error(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// deliveries is a way to deliver messages of one size to 100 mailboxes of a
// store.
func deliveries(b *testing.B, base, name string, size, writers int) measure.Way {
	dir, err := os.MkdirTemp(base, "mail-")
	if err != nil {
		b.Fatal(err)
	}
	s := open(b, dir)
	users := make([]string, 100)
	for i := range users {
		users[i] = fmt.Sprintf("u%d@example.org", i)
		if err := deliver(b, s, mailstore.Meta{}, "x\r\n", users[i]); err != nil {
			b.Fatal(err)
		}
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
	}, Reset: func() error {
		if size < 1<<20 {
			return nil // see measure.Dir
		}
		files, err := filepath.Glob(filepath.Join(dir, "*", "*", "new", "*"))
		for _, f := range files {
			err = errors.Join(err, os.Remove(f))
		}
		return err
	}}
}

// byHand writes files as a careful program does, without a store: with an fsync
// for each file and each directory.
func byHand(b *testing.B, base, name string, size, writers int) measure.Way {
	each, err := measure.NewEach(base)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, size)
	return measure.Way{Name: name, Run: func(n int) error {
		return measure.Spread(writers, n, func(int) error { return each.Put(data) })
	}}
}

// BenchmarkRatios answers for the lines the store is to reach, with everything
// compared taking turns: how many times as fast as an fsync for each file and
// directory it is, with 64 writers and with one; what part of an append-only
// log's speed it has; and with 5 MB messages, what part of the speed at which
// the disk takes one file written on and on. -benchtime 15x is 15 rounds.
func BenchmarkRatios(b *testing.B) {
	base := measure.Dir(b)
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("size=2k/writers=%d", writers), func(b *testing.B) {
			log, err := measure.NewLog(base)
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			data := make([]byte, 2<<10)
			r := measure.Turns(b, base, max(16*writers, 50),
				deliveries(b, base, "store", len(data), writers),
				byHand(b, base, "each", len(data), writers),
				measure.Way{Name: "log", Run: func(n int) error {
					return measure.Spread(writers, n, func(int) error { return log.Append(data) })
				}})
			b.ReportMetric(r.Times("store", "each"), "x-fsync-each")
			b.ReportMetric(r.Times("store", "log"), "x-log")
			b.ReportMetric(r.Rate("store"), "messages/s")
			for _, way := range []string{"store", "each", "log"} {
				b.ReportMetric(r.CPU(way), way+"-cpu-µs")
			}
		})
	}
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("size=5M/writers=%d", writers), func(b *testing.B) {
			const size = 5 << 20
			r := measure.Turns(b, base, 64,
				deliveries(b, base, "store", size, writers),
				measure.Way{Name: "seq", Run: func(n int) error { return writeOn(base, n, size) }})
			b.ReportMetric(r.Times("store", "seq"), "x-seq")
			b.ReportMetric(r.Rate("store")*size/1e6, "MB/s")
			b.ReportMetric(r.Rate("seq")*size/1e6, "seq-MB/s")
		})
	}
}

// writeOn writes n pieces to one file and syncs it at the end.
func writeOn(dir string, n, size int) error {
	name := filepath.Join(dir, "sequential")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	defer f.Close()
	buf := make([]byte, size)
	for range n {
		if _, err := f.Write(buf); err != nil {
			return err
		}
	}
	return f.Sync()
}

// BenchmarkSequentialWrite is the disk's own speed, for comparison: one file,
// written on and on, synced at the end.
func BenchmarkSequentialWrite(b *testing.B) {
	f, err := os.Create(filepath.Join(measure.Dir(b), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 5<<20)
	b.SetBytes(int64(len(buf)))
	b.ResetTimer()
	for range b.N {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen opens the maildrop of a mailbox of 100,000 messages: one that
// did not change, one that got a message since, and one never seen; beside them
// what reading the directory alone costs.
func BenchmarkOpen(b *testing.B) {
	const messages = 100_000
	s := open(b, measure.Dir(b))
	user := "big@example.org"
	if err := deliver(b, s, mailstore.Meta{}, "x\r\n", user); err != nil {
		b.Fatal(err)
	}
	dir, _ := s.Path(user)
	cur := filepath.Join(dir, "cur")
	for i := range messages {
		name := fmt.Sprintf("%d.M%06dP0123456789abQ%x.host,S=0,W=0:2,S", 1700000000+i, i%1000000, i)
		if err := os.WriteFile(filepath.Join(cur, name), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	rest := func(age time.Duration) { // as if nothing had happened for a while
		old := time.Now().Add(-age)
		_ = os.Chtimes(cur, old, old)
		_ = os.Chtimes(filepath.Join(dir, "new"), old, old)
	}
	visit := func(b *testing.B, s *maildir.Store) {
		m, err := s.Open(context.Background(), user)
		if err != nil {
			b.Fatal(err)
		}
		if m.Len() < messages {
			b.Fatal(m.Len())
		}
		m.Close()
	}
	b.Run("readdir", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			d, err := os.Open(cur)
			if err != nil {
				b.Fatal(err)
			}
			if names, err := d.Readdirnames(-1); err != nil || len(names) < messages {
				b.Fatal(err)
			}
			d.Close()
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		rest(time.Hour)
		visit(b, s)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			visit(b, s)
		}
	})
	b.Run("changed", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			b.StopTimer()
			if err := deliver(b, s, mailstore.Meta{}, "x\r\n", user); err != nil {
				b.Fatal(err)
			}
			rest(time.Duration(i+2) * time.Hour)
			b.StartTimer()
			visit(b, s)
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			b.StopTimer()
			fresh := open(b, s.Root(), maildir.WithMode(maildir.Share))
			b.StartTimer()
			visit(b, fresh)
		}
	})
}
