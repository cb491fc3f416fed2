package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/cluster/clustertest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	all := make(map[string]*clustertest.Memory)
	clustertest.RunCounts(t, func(t *testing.T) cluster.Counts {
		if all[t.Name()] == nil {
			all[t.Name()] = clustertest.NewMemory()
		}
		return all[t.Name()]
	})
}

// TestTally: what one server adds the other hears of, with what it has added itself; and while nobody can be told nothing is lost.
func TestTally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counts := clustertest.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		known := [2]float64{}
		var all [2]*cluster.Tally
		for i := range all {
			all[i] = cluster.NewTally(counts, slog.New(slog.DiscardHandler))
			all[i].On("k", func(h cluster.Heard) { known[i] = h.Level })
			go all[i].Run(ctx)
		}
		add := func(i int, n float64) {
			known[i] += n
			all[i].Tell(cluster.Told{Kind: "k", Key: "x", Level: n, Lives: time.Hour})
		}
		are := func(a, b float64) {
			t.Helper()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if known != [2]float64{a, b} {
				t.Errorf("%v, not %v and %v", known, a, b)
			}
		}
		synctest.Wait()
		add(0, 1)
		add(0, 1)
		add(1, 3)
		are(5, 5)
		counts.Fail(errors.New("away"))
		add(0, 1)
		add(1, 2)
		are(6, 7)
		add(0, 1)
		counts.Fail(nil)
		are(9, 9)
		known[0] = 0
		all[0].Tell(cluster.Told{Kind: "k", Key: "x", Replace: true, Lives: time.Hour})
		all[0].Tell(cluster.Told{Kind: "other", Key: "x", Level: 1, Lives: time.Hour}) // which nobody hears
		are(0, 0)
		cancel()
	})
	var none *cluster.Tally // of a server that is alone
	none.On("k", nil)
	none.Tell(cluster.Told{Kind: "k"})
	none.Run(t.Context())
}

// slow takes no more at a time than it can in its time.
type slow struct {
	cluster.Counts
	most int
}

func (s *slow) Tell(ctx context.Context, all []cluster.Told) error {
	if len(all) > s.most {
		return context.DeadlineExceeded
	}
	return s.Counts.Tell(ctx, all)
}

// TestTallyCrowd: whatever strangers bring about while nobody can be told, there is room for numbers of other kinds, and all of it is told
// later, in portions that can be.
func TestTallyCrowd(t *testing.T) {
	t.Parallel()
	counts := clustertest.NewMemory()
	one := cluster.NewTally(&slow{counts, 10_000}, slog.New(slog.DiscardHandler))
	counts.Fail(errors.New("away"))
	for i := range 100_000 {
		one.Tell(cluster.Told{Kind: "crowd", Key: strconv.Itoa(i), Level: 1, Lives: time.Hour})
	}
	one.Tell(cluster.Told{Kind: "k", Key: "x", Level: 1, Lives: time.Hour})
	one.Exchange(t.Context())
	one.Tell(cluster.Told{Kind: "k", Key: "x", Level: 2, Lives: time.Hour})
	one.Exchange(t.Context())
	counts.Fail(nil)
	for range 2 { // the second has nothing to tell
		one.Exchange(t.Context())
	}
	heard := make(map[string]float64)
	if _, err := counts.Hear(t.Context(), 0, func(h cluster.Heard) { heard[h.Kind] += h.Level }); err != nil || heard["k"] != 3 || heard["crowd"] < 10_000 || heard["crowd"] > 1<<16 {
		t.Errorf("%v %v", heard, err)
	}
}

// source is a cluster.Counts that keeps what it was asked.
type source struct {
	mu    sync.Mutex
	err   error
	since []cluster.Mark
	told  []cluster.Told
}

func (s *source) Tell(_ context.Context, all []cluster.Told) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, all...)
	return s.err
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *source) Hear(_ context.Context, since cluster.Mark, heard func(cluster.Heard)) (cluster.Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = append(s.since, since)
	heard(cluster.Heard{Kind: "k", Key: "x"})
	return since + 7, s.err
}

// TestTallyHears: whoever begins to listen, or could not be told all there was, hears from the beginning, and of what is old as such; and the log has one
// line for when others cannot be asked, and one for when they can again.
func TestTallyHears(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := new(source)
		tally := cluster.NewTally(s, slog.New(slog.NewTextHandler(&log, nil)))
		var old []bool
		on := func(kind string) { tally.On(kind, func(h cluster.Heard) { old = append(old, h.Old) }) }
		on("k")
		ctx, cancel := context.WithCancel(t.Context())
		go tally.Run(ctx)
		turns := func(n int) {
			time.Sleep(time.Duration(n) * time.Second)
			synctest.Wait()
		}
		synctest.Wait()
		turns(2)
		on("another")
		turns(1)
		s.fail(errors.New("away"))
		on("third")
		turns(3)
		s.fail(nil)
		turns(2)
		cancel()
		synctest.Wait()
		if got, want := fmt.Sprint(s.since), "[0 7 14 0 0 0 0 0 7]"; got != want {
			t.Errorf("heard since %s, not %s", got, want)
		}
		if got, want := fmt.Sprint(old), "[true false false true true true true true false]"; got != want {
			t.Errorf("old: %s, not %s", got, want)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 || strings.Count(log.String(), "level=WARN") != 1 {
			t.Error(log.String())
		}
	})
}

// TestTallyAdds: what cannot be told yet is told as one, which lives as long as any of it.
func TestTallyAdds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := new(source)
		tally := cluster.NewTally(s, slog.New(slog.DiscardHandler))
		for _, lives := range []time.Duration{time.Minute, time.Hour, time.Second} {
			tally.Tell(cluster.Told{Kind: "k", Key: "x", Level: 2, Lives: lives})
		}
		ctx, cancel := context.WithCancel(t.Context())
		go tally.Run(ctx)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if want := (cluster.Told{Kind: "k", Key: "x", Level: 6, Lives: time.Hour}); len(s.told) != 1 || s.told[0] != want {
			t.Errorf("%+v", s.told)
		}
	})
}
