package durable

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// TestStats: what is done is counted, and what was not done as well.
func TestStats(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 3 {
		if err := d.ReplaceFile(context.Background(), filepath.Join(dir, "x"), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Commit(context.Background(), &Tx{Steps: []Step{Rename(filepath.Join(dir, "none"), filepath.Join(dir, "y"))}}); err == nil {
		t.Error("what is not there was renamed")
	}
	s, syncs := d.Stats(), int64(0)
	for _, n := range s.Syncs {
		syncs += n
	}
	if s.Commits != 3 || s.Failed != 1 || syncs == 0 || s.Waits < syncs || s.Took <= 0 {
		t.Errorf("%+v", s)
	}
	sum := s
	if sum.Add(s); sum.Commits != 6 || sum.Took != 2*s.Took || sum.Waits != 2*s.Waits {
		t.Errorf("%+v", sum)
	}
}

// TestStatsSpans: a span goes up to its bound and includes it, and what took longer than all has a place.
func TestStatsSpans(t *testing.T) {
	for i, bound := range SyncBounds {
		for more, place := range []int{i, i + 1} {
			var d Disk
			d.counts.sync(bound+time.Duration(more), 1)
			if s := d.Stats(); s.Syncs[place] != 1 {
				t.Errorf("%v and %d ns: %v", bound, more, s.Syncs)
			}
		}
	}
}
