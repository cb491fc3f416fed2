package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// owned is an entry of a user's.
func owned(user, id string) *Entry {
	e := entry(id, "bob@example.net")
	e.User = user
	return e
}

// TestHoldAll: all that a user has in the queue is held, also what is in line and what
// comes held, and nothing of others; it leaves in the order in which it came.
func TestHoldAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.Config.DestinationConcurrency = 1
		f.world.took = time.Minute // so that all but one wait, more than a line has places for
		f.run(t)
		defer func() { f.stop(t) }()
		var want []string
		const many = 450
		for i := range many {
			e := owned("ann", fmt.Sprintf("a%03d", many-i)) // whose ids say nothing of the order
			f.submit(t, e)
			time.Sleep(time.Millisecond)
			if i > 0 { // the first one is under way
				want = append(want, e.ID)
			}
		}
		f.submit(t, owned("cy", "c"))
		f.submit(t, owned("ann", "by-hand"))
		must(t, f.Hold(t.Context(), "by-hand"))
		if n, err := f.HoldAll(t.Context(), "ann", "too much"); n != many || err != nil {
			t.Fatalf("%d were held: %v", n, err)
		}
		late := owned("ann", "late")
		late.Hold = "too much"
		f.submit(t, late)
		want = append(want, "late")
		time.Sleep(30 * 24 * time.Hour)
		if n := f.world.count(); n != 2 || f.notes.kinds() != "" || f.Counters().Held != many+1 {
			t.Fatalf("while held: %d attempts, notifications %q, %d held", n, f.notes.kinds(), f.Counters().Held)
		}
		if n, err := f.CountHeld(t.Context(), "ann", "too much"); n != many || err != nil {
			t.Errorf("%d are counted: %v", n, err)
		}
		if v, err := f.Explain(t.Context(), "late"); err != nil || v.Cause != "too much" || v.Why[0] != "bob@example.net: No attempt was made yet. It is held, as too much: nothing happens until it is released." {
			t.Errorf("%+v, %v", v, err)
		}
		f = f.restart(t)
		f.Config.DestinationConcurrency = 1
		if n, err := f.ReleaseAll(t.Context(), "ann", "too much"); n != many || err != nil {
			t.Fatalf("%d were released: %v", n, err)
		}
		time.Sleep((many + 2) * time.Minute)
		var got []string
		f.world.mu.Lock()
		for _, a := range f.world.attempts[2:] {
			got = append(got, a.id)
		}
		f.world.mu.Unlock()
		if !slices.Equal(got, want) {
			t.Errorf("they left as\n%v, want\n%v", got, want)
		}
		if f.spool.len() != 1 || f.Counters().Held != 1 {
			t.Errorf("%d are left, what was held by hand among them: %d", f.spool.len(), f.Counters().Held)
		}
		if n, err := f.RemoveAll(t.Context(), "ann", ""); n != 1 || err != nil || f.spool.len() != 0 {
			t.Errorf("%d were removed: %v", n, err)
		}
	})
}

// TestReleaseAllAtStart: who releases mail while the queue still looks for what there is,
// releases all of it.
func TestReleaseAllAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		for i := range 20 {
			e := owned("ann", fmt.Sprint("a", i))
			e.Hold = "too much"
			f.submit(t, e)
		}
		next := newFixture() // the next process
		next.spool = f.spool
		next.Queue.Spool = f.spool
		released := make(chan int, 1)
		go func() {
			n, err := next.ReleaseAll(t.Context(), "ann", "too much")
			if err != nil {
				t.Error(err)
			}
			released <- n
		}()
		synctest.Wait()
		select {
		case n := <-released:
			t.Errorf("%d were released before anything was found", n)
		default:
		}
		next.run(t)
		defer next.stop(t)
		if n := <-released; n != 20 {
			t.Errorf("%d were released", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newFixture().HoldAll(ctx, "ann", "too much"); err == nil {
			t.Error("who does not wait hears of no error")
		}
	})
}

// TestOrderOfADestination: mail for one destination leaves in the order in which it was due, also
// where more of it comes than there are places in line, while those that wait for one are let in.
func TestOrderOfADestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.Config.DestinationConcurrency = 1
		f.world.took = time.Minute
		f.run(t)
		defer func() { f.stop(t) }()
		var want []string
		const many = 4 * backlog
		for i := range many {
			e := entry(fmt.Sprintf("a%04d", many-i), "bob@example.net") // whose ids say nothing of the order
			f.submit(t, e)
			time.Sleep(25 * time.Second) // now and then a place becomes free before the next one comes
			want = append(want, e.ID)
			if i%10 == 9 { // of those in line and of those behind it some go away
				gone := want[len(want)-5]
				must(t, f.Remove(t.Context(), gone))
				want = slices.DeleteFunc(want, func(id string) bool { return id == gone })
			}
		}
		time.Sleep(many * time.Minute)
		var got []string
		f.world.mu.Lock()
		for _, a := range f.world.attempts {
			got = append(got, a.id)
		}
		f.world.mu.Unlock()
		got = slices.DeleteFunc(got, func(id string) bool { return !slices.Contains(want, id) })
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("attempt %d of %d is for %s, want %s of %d", i, len(got), got[i], want[i], len(want))
			}
		}
		if len(got) != len(want) || f.spool.len() != 0 {
			t.Errorf("%d of %d were tried, %d are left", len(got), len(want), f.spool.len())
		}
	})
}
