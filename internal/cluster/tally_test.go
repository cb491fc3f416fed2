package cluster_test

import (
	"context"
	"errors"
	"log/slog"
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
