package whole_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/whole"
	"github.com/postrider-mail/postrider/internal/whole/wholetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	all := make(map[string]*wholetest.Memory)
	wholetest.RunCounts(t, func(t *testing.T) whole.Counts {
		if all[t.Name()] == nil {
			all[t.Name()] = wholetest.NewMemory()
		}
		return all[t.Name()]
	})
}

// TestTally: what one server adds the other hears of, with what it has added itself; and while nobody can be told nothing is lost.
func TestTally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counts := wholetest.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		known := [2]float64{}
		var all [2]*whole.Tally
		for i := range all {
			all[i] = whole.NewTally(counts, slog.New(slog.DiscardHandler))
			all[i].On("k", func(h whole.Heard) { known[i] = h.Level })
			go all[i].Run(ctx)
		}
		add := func(i int, n float64) {
			known[i] += n
			all[i].Tell(whole.Told{Kind: "k", Key: "x", Level: n, Lives: time.Hour})
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
		all[0].Tell(whole.Told{Kind: "k", Key: "x", Replace: true, Lives: time.Hour})
		all[0].Tell(whole.Told{Kind: "other", Key: "x", Level: 1, Lives: time.Hour}) // which nobody hears
		are(0, 0)
		cancel()
	})
	var none *whole.Tally // of a server that is alone
	none.On("k", nil)
	none.Tell(whole.Told{Kind: "k"})
	none.Run(t.Context())
}

// slow takes no more at a time than it can in its time.
type slow struct {
	whole.Counts
	most int
}

func (s *slow) Tell(ctx context.Context, all []whole.Told) error {
	if len(all) > s.most {
		return context.DeadlineExceeded
	}
	return s.Counts.Tell(ctx, all)
}

// TestTallyCrowd: whatever strangers bring about while nobody can be told, there is room for numbers of other kinds, and all of it is told
// later, in portions that can be.
func TestTallyCrowd(t *testing.T) {
	t.Parallel()
	counts := wholetest.NewMemory()
	one := whole.NewTally(&slow{counts, 10_000}, slog.New(slog.DiscardHandler))
	counts.Fail(errors.New("away"))
	for i := range 100_000 {
		one.Tell(whole.Told{Kind: "crowd", Key: strconv.Itoa(i), Level: 1, Lives: time.Hour})
	}
	one.Tell(whole.Told{Kind: "k", Key: "x", Level: 1, Lives: time.Hour})
	one.Exchange(t.Context())
	one.Tell(whole.Told{Kind: "k", Key: "x", Level: 2, Lives: time.Hour})
	one.Exchange(t.Context())
	counts.Fail(nil)
	for range 2 { // the second has nothing to tell
		one.Exchange(t.Context())
	}
	heard := make(map[string]float64)
	if _, err := counts.Hear(t.Context(), 0, func(h whole.Heard) { heard[h.Kind] += h.Level }); err != nil || heard["k"] != 3 || heard["crowd"] < 10_000 || heard["crowd"] > 1<<16 {
		t.Errorf("%v %v", heard, err)
	}
}
