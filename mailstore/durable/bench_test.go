package durable_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/postrider-mail/postrider/internal/measure"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// BenchmarkCommit publishes files of one size from tmp/ into new/ of 100
// Maildirs, by every way to sync and with both kinds of publishing.
func BenchmarkCommit(b *testing.B) {
	dir := measure.Dir(b)
	ways := []struct {
		name, mode string
		proven     bool
	}{
		{"grouped", "each", false},
		{"syncfs", "whole", false},
		{"auto", "as it comes", false},
		{"proven-grouped", "each", true},
		{"proven-syncfs", "whole", true},
		{"proven-auto", "as it comes", true},
	}
	for _, size := range []int{2 << 10, 64 << 10, 5 << 20} {
		for _, writers := range []int{1, 4, 16, 64, 256} {
			for _, m := range ways {
				b.Run(fmt.Sprintf("size=%dk/writers=%d/%s", size>>10, writers, m.name), func(b *testing.B) {
					benchCommit(b, dir, m.mode, m.proven, size, writers)
				})
			}
			b.Run(fmt.Sprintf("size=%dk/writers=%d/perfile", size>>10, writers), func(b *testing.B) {
				benchEach(b, dir, size, writers)
			})
			if size <= 64<<10 {
				b.Run(fmt.Sprintf("size=%dk/writers=%d/log", size>>10, writers), func(b *testing.B) {
					benchLog(b, dir, size, writers)
				})
			}
		}
	}
}

const benchBoxes = 100

func benchCommit(b *testing.B, base string, mode string, proven bool, size, writers int) {
	boxes := newBoxes(b, base, mode, proven, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	spread(b, writers, boxes.one)
}

// boxes are Maildirs to publish into.
type boxes struct {
	dir    string
	c      *durable.Disk
	proven bool
	data   []byte
	count  atomic.Int64
}

func newBoxes(b *testing.B, base string, mode string, proven bool, size int) *boxes {
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
	return &boxes{dir: dir, c: openDisk(b, dir, modes[mode]), proven: proven, data: make([]byte, size)}
}

// one publishes one file, without a name before where there is such a thing.
func (s *boxes) one(int) error {
	i := s.count.Add(1)
	box, name := filepath.Join(s.dir, fmt.Sprint(i%benchBoxes)), fmt.Sprint(i)
	there := filepath.Join(box, "new", name)
	var step durable.Step
	f, err := s.c.FS().CreateUnnamed(filepath.Join(box, "tmp"))
	if errors.Is(err, errors.ErrUnsupported) {
		f, err = s.c.FS().Create(filepath.Join(box, "tmp", name))
		step = durable.Publish(filepath.Join(box, "tmp", name), there)
	} else {
		step = durable.PublishFile(f, there)
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(s.data); err != nil {
		return err
	}
	return s.c.Commit(context.Background(), &durable.Tx{
		Files: []durable.File{f}, Steps: []durable.Step{step}, Proven: s.proven,
	})
}

// spread runs b.N calls of one on the given number of goroutines.
func spread(b *testing.B, writers int, one func(i int) error) {
	cpu := measure.CPUTime()
	b.ResetTimer()
	if err := measure.Spread(writers, b.N, one); err != nil {
		b.Error(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64((measure.CPUTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
}

// benchLog is the rival: one append-only file, one fdatasync per group.
func benchLog(b *testing.B, dir string, size, writers int) {
	l, err := measure.NewLog(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	data := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	spread(b, writers, func(int) error { return l.Append(data) })
}

// benchEach is the slow standard.
func benchEach(b *testing.B, dir string, size, writers int) {
	each, err := measure.NewEach(dir)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	spread(b, writers, func(int) error { return each.Put(data) })
}
