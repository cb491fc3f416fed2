package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

func TestSetBack(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{0, time.Hour, -time.Hour} {
		later := now.Add(time.Minute)
		// What somebody sets is the wall clock; Round drops the monotonic one.
		if got := setBack(now.Add(by).Round(0), later.Round(0)); got != 0 {
			t.Errorf("without a monotonic clock: %v", got)
		}
		if got := setBack(now, later); got != 0 {
			t.Errorf("a clock that nobody set: %v", got)
		}
	}
}

// TestWatchClock: each look at the clock is what the next one is compared with.
func TestWatchClock(t *testing.T) {
	q := newFixture().Queue
	for now := time.Now(); now.Before(time.Now().Add(time.Minute)); now = now.Add(time.Minute) {
		if q.watchClock(now); !q.clock.Equal(now) {
			t.Errorf("%v is compared with, after a look at %v", q.clock, now)
		}
	}
}

// TestClockWasAhead: what was put off by a clock that was wrong by a year does
// not wait for a year, and what its sender put off still does.
func TestClockWasAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.submit(t, entry("wrong", "bob@example.net"))
		later := entry("later", "bob@example.net")
		later.Params.HoldUntil = time.Now().Add(48 * time.Hour)
		f.submit(t, later)
		f.spool.entries["wrong"].st.To[0].Next = time.Now().Add(365 * 24 * time.Hour)
		f.spool.entries["wrong"].st.To[0].Attempts = 1
		f = &fixture{Queue: newFixture().Queue, spool: f.spool, world: f.world, notes: f.notes, lost: f.lost}
		f.Queue.Spool, f.Queue.Transport = f.spool, f.world
		f.run(t)
		defer f.stop(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.spool.state("wrong") != nil || f.world.count() != 1 {
			t.Errorf("after a minute: %d attempts, %+v", f.world.count(), f.spool.state("wrong"))
		}
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if f.world.count() != 2 || f.world.attempts[1].at.Before(later.Params.HoldUntil) {
			t.Errorf("%+v", f.world.attempts)
		}
	})
}

// TestClockSetBack: what waits five minutes waits no longer for a clock that is
// set back by three hours meanwhile.
func TestClockSetBack(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.submit(t, entry("a", "bob@example.net"))
		f.submit(t, entry("b", "bob@example.net"))
		time.Sleep(time.Minute)
		// For the queue it is the same whether the clock goes back, or all that
		// it wrote down lies that much later.
		const by = 3 * time.Hour
		f.spool.mu.Lock()
		for _, s := range f.spool.entries {
			s.st.To[0].Next = s.st.To[0].Next.Add(by)
		}
		f.spool.mu.Unlock()
		f.mu.Lock()
		for _, it := range f.wait {
			it.next += int64(by)
		}
		f.rewind(by)
		f.mu.Unlock()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if f.world.count() != 4 {
			t.Errorf("%d attempts", f.world.count())
		}
	})
}

// TestWarningOnTime: the news of a delay goes out when it is due, not with the
// attempt that comes after; also after a restart, and once.
func TestWarningOnTime(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inQueue(t, func(t *testing.T, f *fixture) {
			begin := time.Now()
			f.submit(t, entry("a", "bob@example.net"))
			silent := entry("b", "bob@example.net")
			silent.To[0].Params.Notify = smtp.NotifyFailure
			f.submit(t, silent)
			time.Sleep(time.Hour)
			if restart {
				n := f.restart(t)
				f.Queue, f.cancel, f.ended = n.Queue, n.cancel, n.ended
			}
			time.Sleep(5 * time.Hour)
			synctest.Wait()
			if f.notes.kinds() != "delay" {
				t.Fatalf("notifications %q", f.notes.kinds())
			}
			if d := f.notes.at[0].Sub(begin); d != 4*time.Hour {
				t.Errorf("warning after %v", d)
			}
			if n := f.world.count(); n > 18 {
				t.Errorf("%d attempts", n)
			}
		})
	}
}

// TestWarningFails: a warning that cannot be sent is not tried without end.
func TestWarningFails(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.notes.err = errors.New("mailbox locked")
		f.submit(t, entry("a", "bob@example.net"))
		time.Sleep(4*time.Hour + time.Minute)
		f.notes.mu.Lock()
		f.notes.err = nil
		f.notes.mu.Unlock()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if f.notes.kinds() != "delay" || f.spool.saves > 20 {
			t.Errorf("notifications %q, %d states written", f.notes.kinds(), f.spool.saves)
		}
	})
}

// TestRemoveInLine: what an operator takes away while it waits in line is not
// sent.
func TestRemoveInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.took = time.Minute
		f.run(t)
		defer f.stop(t)
		f.submitMany(t, 2*firstWindow, func(int) string { return "example.net" })
		time.Sleep(time.Second)
		last := fmt.Sprintf("e%05d", 2*firstWindow-1)
		must(t, f.Remove(t.Context(), last))
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, a := range f.world.attempts {
			if a.id == last {
				t.Errorf("sent after it was removed")
			}
		}
		if f.spool.len() != 0 || f.Counters().Entries != 0 {
			t.Errorf("%d left", f.spool.len())
		}
	})
}

// TestTwoDestinations: an entry for one destination that is busy and another
// that is slow is tried at the busy one as soon as there is place, not five
// minutes later.
func TestTwoDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.DestinationConcurrency = 4
		f.world.answer = func(d *Delivery, _ Recipient) Result {
			if d.Destination == "slow.example" {
				time.Sleep(2 * time.Minute)
			} else {
				time.Sleep(time.Second)
			}
			return ok
		}
		f.run(t)
		defer f.stop(t)
		f.submitMany(t, backlog+10, func(int) string { return "busy.example" })
		f.submit(t, entry("both", "bob@busy.example", "bob@slow.example"))
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if st := f.spool.state("both"); st != nil {
			t.Errorf("after 4 minutes: %+v", st)
		}
		for _, a := range f.world.attempts {
			if a.attempt != 1 {
				t.Errorf("%s: attempt %d", a.id, a.attempt)
			}
		}
	})
}

// TestCommitAfterEnd: a message whose end comes when the queue has ended costs
// the next process no wait either.
func TestCommitAfterEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.run(t)
		w, err := f.Begin(t.Context(), entry("a", "bob@example.net"))
		must(t, err)
		w.Write([]byte(message))
		f.stop(t)
		must(t, w.Commit(t.Context(), nil))
		if st := f.spool.state("a"); st.To[0].Attempts != 0 || st.To[0].Next.After(time.Now()) {
			t.Errorf("%+v", st.To[0])
		}
	})
}

// scanFails is a spool that cannot be scanned some times.
type scanFails struct {
	*memory
	times int
}

func (s *scanFails) Scan(ctx context.Context, each func(string, *State) error) error {
	if s.times--; s.times >= 0 {
		return errors.New("too many open files")
	}
	return s.memory.Scan(ctx, each)
}

// TestScanFails: what passes is waited for, and what does not is said.
func TestScanFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.submit(t, entry("a", "bob@example.net"))
		f.Spool = &scanFails{f.spool, 3}
		f.run(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.world.count() != 1 {
			t.Errorf("%d attempts", f.world.count())
		}
		f.stop(t)
		f = newFixture()
		f.Spool = &scanFails{f.spool, 1000}
		if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "open files") {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestSilentStrangers: however many destinations never heard of before accept
// connections and say nothing, those that have answered are not kept waiting.
func TestSilentStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(d *Delivery, _ Recipient) Result {
			if d.Destination != "living.example" {
				time.Sleep(5 * time.Minute)
				return gone
			}
			time.Sleep(10 * time.Millisecond)
			return ok
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("first", "bob@living.example"))
		time.Sleep(time.Second)
		f.submitMany(t, 1000, func(i int) string { return fmt.Sprintf("d%d.example", i%100) })
		for i := range 200 {
			f.submit(t, entry(fmt.Sprintf("l%03d", i), "bob@living.example"))
		}
		time.Sleep(10 * time.Second)
		if n := f.Counters().Delivered; n != 201 {
			t.Errorf("%d of 201 delivered", n)
		}
		time.Sleep(time.Hour)
	})
}
