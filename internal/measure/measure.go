// Package measure compares ways to store on a machine that is never quiet:
// they take turns, in short runs and in an order left to chance, so that what disturbs
// one disturbs all, and what is reported are medians of the ratios within each
// round. Tests alone use it.
package measure

import (
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Dir makes a directory on the disk to be measured: $POSTRIDER_BENCH_DIR, or
// the system's place for temporary files. A RAM disk measures nothing.
//
// It is removed when the whole benchmark is over, not between its parts: ext4
// does not give out an inode again for five seconds after its file was removed,
// and looking for one past thousands of such makes the next part five times as
// slow to create files.
func Dir(b testing.TB) string {
	dir, err := os.MkdirTemp(os.Getenv("POSTRIDER_BENCH_DIR"), "postrider-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Way is one of those that are compared.
type Way struct {
	Name string
	// Run does n operations.
	Run func(n int) error
	// Reset, if set, puts away after a run what Run has made. It is not
	// measured.
	Reset func() error
}

// Result holds the seconds and the process's CPU seconds per operation of each
// way in each round.
type Result struct {
	wall, cpu map[string][]float64
}

// maxRounds bounds what one benchmark does, however large -benchtime is.
const maxRounds = 51

// Turns lets the ways take turns at n operations each, b.N rounds but no more
// than maxRounds. dir is on the disk that is measured: it is brought to rest
// before each run.
func Turns(b *testing.B, dir string, n int, ways ...Way) *Result {
	b.Helper()
	r := &Result{wall: make(map[string][]float64), cpu: make(map[string][]float64)}
	turn := func(w Way) {
		rest(dir)
		cpu, start := CPUTime(), time.Now()
		if err := w.Run(n); err != nil {
			b.Fatalf("%s: %v", w.Name, err)
		}
		r.wall[w.Name] = append(r.wall[w.Name], time.Since(start).Seconds()/float64(n))
		r.cpu[w.Name] = append(r.cpu[w.Name], (CPUTime()-cpu).Seconds()/float64(n))
		if w.Reset == nil {
			return
		}
		if err := w.Reset(); err != nil {
			b.Fatalf("%s: %v", w.Name, err)
		}
	}
	b.ResetTimer()
	for range min(b.N, maxRounds) {
		// By chance, for whatever else comes around regularly.
		for _, j := range rand.Perm(len(ways)) {
			turn(ways[j])
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op") // of a whole round: says nothing
	return r
}

// Rate is the median of operations per second.
func (r *Result) Rate(way string) float64 { return 1 / median(r.wall[way]) }

// CPU is the median of microseconds of the process's CPU per operation.
func (r *Result) CPU(way string) float64 { return median(r.cpu[way]) * 1e6 }

// Times is how many times as fast as other way was: the median over the rounds.
func (r *Result) Times(way, other string) float64 {
	ratios := make([]float64, len(r.wall[way]))
	for i := range ratios {
		ratios[i] = r.wall[other][i] / r.wall[way][i]
	}
	return median(ratios)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// Spread runs n calls of one on so many goroutines.
func Spread(writers, n int, one func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1))
				if i > n {
					return
				}
				errs[w] = one(i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
