package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestReconfigure: a running queue obeys another Config in all that it says.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(_ *Delivery, r Recipient) Result {
			if strings.HasPrefix(r.Path.Local, "no") {
				return never5
			}
			return grey
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "later@example.net"))
		synctest.Wait()

		// The name in notifications.
		f.Reconfigure(Config{Hostname: "new.example.org", Schedule: Schedule{Jitter: -1}})
		f.submit(t, entry("b", "no@example.net"))
		synctest.Wait()
		if len(f.notes.all) != 1 {
			t.Fatalf("%d notifications", len(f.notes.all))
		}
		contains(t, string(f.notes.all[0].Message), "Reporting-MTA: dns; new.example.org", "@new.example.org>")

		// Schedules, from the next attempt on: what waits keeps its time.
		f.Reconfigure(Config{Schedule: Schedule{Jitter: -1},
			Schedules: domains.NewMap(map[string]Schedule{".example.net": {}, "example.net": {First: 7 * time.Hour, Max: 7 * time.Hour, Jitter: -1}})})
		time.Sleep(DefaultFirst + time.Second)
		_, st, err := f.spool.Load(t.Context(), "a")
		must(t, err)
		if at := st.To[0].Next.Sub(st.Queued); st.To[0].Attempts != 2 || at != DefaultFirst+7*time.Hour {
			t.Errorf("after %d attempts the next comes %v after the first", st.To[0].Attempts, at)
		}
		if f.tooFar(time.Now().Add(6*time.Hour).UnixNano(), time.Now()) {
			t.Error("a wait of the new schedule is taken for one of a clock that was ahead")
		}

		// What may wait.
		must(t, f.Room(t.Context(), 100))
		f.Reconfigure(Config{MaxEntries: 1})
		if err := f.Room(t.Context(), 100); err != ErrFull {
			t.Errorf("a queue of one has room for another: %v", err)
		}
		f.Reconfigure(Config{MaxOctets: 200})
		if err := f.Room(t.Context(), 500); err != ErrFull {
			t.Errorf("200 octets hold 500 more: %v", err)
		}
	})
}

// TestReconfigureBounds: more places are used at once, and fewer are obeyed as
// attempts end.
func TestReconfigureBounds(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new Config
		to       func(i int) string
		before   int
		after    int
	}{
		// What one user sends to hosts that nobody knows yet leaves places free.
		{"more in all", Config{Concurrency: 2}, Config{Concurrency: 6}, apart, 1, 4},
		{"fewer in all", Config{Concurrency: 6}, Config{Concurrency: 2}, apart, 4, 1},
		{"fewer to one", Config{}, Config{DestinationConcurrency: 2}, together, 4, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture()
			f.Config = c.old
			f.world.took = time.Minute
			f.run(t)
			defer f.stop(t)
			for i := range 12 {
				f.submit(t, entry(fmt.Sprint("e", i), c.to(i)))
			}
			synctest.Wait()
			if n := f.Counters().Active; n != c.before {
				t.Errorf("%s: %d at first, want %d", c.name, n, c.before)
			}
			f.Reconfigure(c.new)
			if c.after < c.before {
				time.Sleep(time.Minute) // those that run are not interrupted
			}
			synctest.Wait()
			if n := f.Counters().Active; n != c.after {
				t.Errorf("%s: %d then, want %d", c.name, n, c.after)
			}
			time.Sleep(time.Hour)
		})
	}
}

func apart(i int) string {
	return "bob@" + string(rune('a'+i%20)) + string(rune('a'+i/20)) + ".example"
}
func together(int) string { return "bob@example.net" }

// slowSpool is a spool that takes its time to read an entry, or to remove it.
type slowSpool struct {
	*memory
	takes time.Duration
}

func (s *slowSpool) Load(ctx context.Context, id string) (*Entry, *State, error) {
	time.Sleep(s.takes)
	return s.memory.Load(ctx, id)
}

func (s *slowSpool) Remove(ctx context.Context, id string) error {
	time.Sleep(s.takes)
	return s.memory.Remove(ctx, id)
}

// TestCommandsWait: a command for an entry that is being read, or that another command
// works on, is carried out as soon as that is done, however long it takes; and one
// that nobody waits for any more is not.
func TestCommandsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return grey }
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		f.Queue.Spool = &slowSpool{f.spool, 10 * time.Second}
		began := time.Now()
		errs := make(chan error, 3)
		for range 3 {
			go func() { errs <- f.Hold(t.Context(), "a") }()
		}
		time.Sleep(time.Second)
		given, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Hold(given, "a"); err == nil || time.Since(began) != 2*time.Second {
			t.Errorf("given up after %v: %v", time.Since(began), err)
		}
		for i := range 3 {
			must(t, <-errs)
			if took := time.Since(began); took != time.Duration(i+1)*10*time.Second {
				t.Errorf("command %d is done after %v", i, took)
			}
		}
		if v, err := f.Show(t.Context(), "a"); err != nil || !v.Held {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// TestCommandsForWhatIsGone: who waits for an entry that another command removes is told that there is none.
func TestCommandsForWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return grey }
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		f.Queue.Spool = &slowSpool{f.spool, 10 * time.Second}
		errs := make(chan error, 2)
		go func() { errs <- f.Remove(t.Context(), "a") }()
		synctest.Wait() // it has got hold of it
		given, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { errs <- f.Hold(given, "a") }()
		if removed, held := <-errs, <-errs; removed != nil || !errors.Is(held, ErrNotFound) {
			t.Errorf("removed: %v; held: %v", removed, held)
		}
	})
}

// TestPlacesByDefault: what the documentation says where nothing is set.
func TestPlacesByDefault(t *testing.T) {
	if c := (&Config{}); c.concurrency() != 200 || c.destinationConcurrency() != 20 {
		t.Errorf("%d, %d", c.concurrency(), c.destinationConcurrency())
	}
	if c := (&Config{Concurrency: 1, DestinationConcurrency: 2}); c.concurrency() != 1 || c.destinationConcurrency() != 2 {
		t.Errorf("%d, %d", c.concurrency(), c.destinationConcurrency())
	}
}
