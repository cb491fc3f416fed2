package greylist

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/cluster/clustertest"
)

// TestTogether: who was told by one server to come again may come to another, and is known at both then; a server that starts knows what the
// others knew, and while they cannot tell each other each goes by what it knows.
func TestTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counts := clustertest.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		join := func() *Table {
			table := open(t, filepath.Join(t.TempDir(), "greylist"))
			tally := cluster.NewTally(counts, slog.New(slog.DiscardHandler))
			table.Together(tally, func() Times { return times })
			go tally.Run(ctx)
			return table
		}
		try := func(of *Table, sender, attempt string, want bool) {
			t.Helper()
			if _, ok := of.Try(sender, attempt, times, time.Now()); ok != want {
				t.Errorf("%s %s: %v", sender, attempt, ok)
			}
		}
		a, b := join(), join()
		try(a, "one.test", "x", false)
		time.Sleep(10 * time.Second)
		try(b, "one.test", "x", false) // too soon, and no beginning anew
		time.Sleep(51 * time.Second)
		try(b, "one.test", "x", true)
		try(b, "two.test", "x", false)
		time.Sleep(2 * time.Second)
		try(a, "one.test", "y", true)
		c := join()
		time.Sleep(2 * time.Second)
		try(c, "one.test", "z", true)
		try(c, "two.test", "x", false)
		counts.Fail(errors.New("away"))
		try(a, "three.test", "x", false)
		time.Sleep(2 * time.Minute)
		try(b, "three.test", "x", false)
		try(a, "three.test", "x", true)
		counts.Fail(nil)
		time.Sleep(2 * time.Second)
		try(b, "three.test", "new", true)
		if known, waiting := b.Len(); known != 2 || waiting > 3 {
			t.Error(known, waiting)
		}
	})
}
