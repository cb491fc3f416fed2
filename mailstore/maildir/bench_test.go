package maildir_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/durable"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// benchDir is a directory on the disk to be measured: $POSTRIDER_BENCH_DIR, or
// the system's place for temporary files. Removed at the end of the whole
// benchmark: see the remark in internal/durable.
func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp(os.Getenv("POSTRIDER_BENCH_DIR"), "postrider-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// BenchmarkDeliver delivers to 100 mailboxes, with the store as it is and with
// an fsync for every file and directory.
func BenchmarkDeliver(b *testing.B) {
	base := benchDir(b)
	for _, size := range []int{2 << 10, 64 << 10, 5 << 20} {
		for _, writers := range []int{1, 64} {
			for name, mode := range map[string]durable.SyncMode{"group": durable.Auto, "perfile": durable.PerFile} {
				b.Run(fmt.Sprintf("size=%dk/writers=%d/%s", size>>10, writers, name), func(b *testing.B) {
					benchDeliver(b, base, mode, size, writers)
				})
			}
		}
	}
}

func benchDeliver(b *testing.B, base string, mode durable.SyncMode, size, writers int) {
	dir, err := os.MkdirTemp(base, "mail-")
	if err != nil {
		b.Fatal(err)
	}
	fsys, err := durable.OpenOS(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer fsys.Close()
	s := open(b, dir, maildir.WithCommitter(durable.NewCommitterMode(fsys, mode)))
	users := make([]string, 100)
	for i := range users {
		users[i] = fmt.Sprintf("u%d@example.org", i)
		if err := deliver(b, s, mailstore.Meta{}, "x\r\n", users[i]); err != nil {
			b.Fatal(err)
		}
	}
	body := strings.Repeat(strings.Repeat("x", 62)+"\r\n", size/64)
	ctx := context.Background()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				d, err := s.Create(ctx, mailstore.Meta{Size: int64(size)}, users[i%100])
				if err == nil {
					_, _ = io.WriteString(d, body)
					err = d.Commit(ctx)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkSequentialWrite is the disk's own speed, for comparison: one file,
// written on and on, synced at the end.
func BenchmarkSequentialWrite(b *testing.B) {
	f, err := os.Create(filepath.Join(benchDir(b), "file"))
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
	s := open(b, benchDir(b))
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
