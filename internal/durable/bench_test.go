package durable_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postrider-mail/postrider/internal/durable"
)

// benchDir is a directory on the disk to be measured: $POSTRIDER_BENCH_DIR, or
// the system's place for temporary files. A RAM disk measures nothing.
//
// It is removed when the whole benchmark is over, not between its parts: ext4
// does not give out an inode again for five seconds after its file was removed,
// and looking for one past thousands of such makes the next part five times as
// slow to create files.
func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp(os.Getenv("POSTRIDER_BENCH_DIR"), "postrider-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// BenchmarkCommit publishes files of one size from tmp/ into new/ of 100
// Maildirs, by every way to sync and with both kinds of publishing.
func BenchmarkCommit(b *testing.B) {
	dir := benchDir(b)
	modes := []struct {
		name   string
		mode   durable.SyncMode
		proven bool
	}{
		{"perfile", durable.PerFile, false},
		{"grouped", durable.Grouped, false},
		{"syncfs", durable.Whole, false},
		{"auto", durable.Auto, false},
		{"proven-grouped", durable.Grouped, true},
		{"proven-syncfs", durable.Whole, true},
		{"proven-auto", durable.Auto, true},
	}
	for _, size := range []int{2 << 10, 64 << 10, 5 << 20} {
		for _, writers := range []int{1, 4, 16, 64, 256} {
			for _, m := range modes {
				b.Run(fmt.Sprintf("size=%dk/writers=%d/%s", size>>10, writers, m.name), func(b *testing.B) {
					benchCommit(b, dir, m.mode, m.proven, size, writers)
				})
			}
			if size <= 64<<10 {
				b.Run(fmt.Sprintf("size=%dk/writers=%d/log", size>>10, writers), func(b *testing.B) {
					benchLog(b, dir, size, writers)
				})
			}
		}
	}
}

const benchBoxes = 100

func benchCommit(b *testing.B, base string, mode durable.SyncMode, proven bool, size, writers int) {
	dir, err := os.MkdirTemp(base, "boxes-")
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchBoxes {
		for _, sub := range []string{"tmp", "new"} {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(i), sub), 0o700); err != nil {
				b.Fatal(err)
			}
		}
	}
	fsys, err := durable.OpenOS(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer fsys.Close()
	c := durable.NewCommitterMode(fsys, mode)
	data := make([]byte, size)
	one := func(i int64) error {
		box := filepath.Join(dir, fmt.Sprint(i%benchBoxes))
		name := fmt.Sprint(i)
		f, err := fsys.Create(filepath.Join(box, "tmp", name))
		if err != nil {
			return err
		}
		if _, err := f.Write(data); err != nil {
			return err
		}
		return c.Commit(context.Background(), &durable.Tx{
			Files:  []durable.File{f},
			Steps:  []durable.Step{durable.Rename(f.Name(), filepath.Join(box, "new", name))},
			Proven: proven,
		})
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	spread(b, writers, one)
}

// spread runs b.N calls of one on the given number of goroutines.
func spread(b *testing.B, writers int, one func(i int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	cpu := cpuTime()
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				if err := one(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
}

// benchLog is the rival: one append-only file, one fdatasync per group.
func benchLog(b *testing.B, dir string, size, writers int) {
	f, err := os.CreateTemp(dir, "log-")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	l := &appendLog{f: f}
	data := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	spread(b, writers, func(int64) error { return l.append(data) })
}

type appendLog struct {
	f       *os.File
	mu      sync.Mutex
	leading bool
	waiting []chan bool
}

func (l *appendLog) append(p []byte) error {
	l.mu.Lock()
	if _, err := l.f.Write(p); err != nil {
		l.mu.Unlock()
		return err
	}
	wake := make(chan bool, 1)
	l.waiting = append(l.waiting, wake)
	if l.leading {
		l.mu.Unlock()
		if lead := <-wake; !lead {
			return nil
		}
		l.mu.Lock()
	}
	l.leading = true
	group := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	err := fdatasync(l.f)
	l.mu.Lock()
	if len(l.waiting) > 0 {
		l.waiting[0] <- true
	} else {
		l.leading = false
	}
	l.mu.Unlock()
	for _, w := range group {
		if w != wake {
			w <- false
		}
	}
	return err
}
