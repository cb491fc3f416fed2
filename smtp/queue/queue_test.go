package queue

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

func TestDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net", "carol@example.net", "dan@example.com"))
		synctest.Wait()
		if n := f.spool.len(); n != 0 {
			t.Errorf("%d entries left", n)
		}
		if n := f.world.count(); n != 2 {
			t.Errorf("%d attempts, want one per destination", n)
		}
		c := f.Counters()
		if c.Delivered != 3 || c.Entries != 0 || c.Octets != 0 || c.Delay[0] != 3 || f.notes.kinds() != "" {
			t.Errorf("%+v, notes %q", c, f.notes.kinds())
		}
	})
}

// TestFiveDays: every retry, the warning, and the bounce at the end.
func TestFiveDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return grey }
		f.run(t)
		defer func() { f.stop(t) }()
		begin := time.Now()
		f.submit(t, entry("a", "bob@example.net"))
		time.Sleep(6 * 24 * time.Hour)
		synctest.Wait()
		var at []time.Duration
		for i, a := range f.world.attempts {
			at = append(at, a.at.Sub(begin))
			if a.attempt != i+1 {
				t.Errorf("attempt %d called %d", i+1, a.attempt)
			}
		}
		want := []time.Duration{0, 5 * time.Minute, 15 * time.Minute, 35 * time.Minute, 75 * time.Minute, 145 * time.Minute}
		if !slices.Equal(at[:len(want)], want) {
			t.Errorf("attempts at %v, want %v", at[:len(want)], want)
		}
		if last := at[len(at)-1]; last != 5*24*time.Hour {
			t.Errorf("last attempt at %v", last)
		}
		if f.notes.kinds() != "delay bounce" {
			t.Fatalf("notifications %q", f.notes.kinds())
		}
		if d := f.notes.at[0].Sub(begin); d < 4*time.Hour || d > 5*time.Hour+10*time.Minute {
			t.Errorf("warning after %v", d)
		}
		if n := f.spool.len(); n != 0 {
			t.Errorf("%d entries left", n)
		}
		if c := f.Counters(); c.Expired != 1 || c.Deferred != int64(len(at)-1) {
			t.Errorf("%+v", c)
		}
	})
}

// TestAttemptIsWrittenFirst: while the attempt runs, the spool knows of it.
func TestAttemptIsWrittenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var seen *State
		f.world.answer = func(d *Delivery, r Recipient) Result {
			seen = f.spool.state(d.Entry.ID)
			return ok
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		if seen == nil || seen.To[0].Attempts != 1 || time.Until(seen.To[0].Next) != 5*time.Minute {
			t.Errorf("during the attempt the state was %+v", seen)
		}
	})
}

// TestNotWrittenNotMade: an attempt that cannot be written down is not made.
func TestNotWrittenNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var broken atomic.Bool
		broken.Store(true)
		f.spool.fail = func(op, _ string) error {
			if op == "save" && broken.Load() {
				return errors.New("disk full")
			}
			return nil
		}
		f.run(t)
		defer f.stop(t)
		f.world.answer = func(d *Delivery, _ Recipient) Result {
			if d.Attempt == 1 {
				return grey
			}
			return ok
		}
		// The first attempt is written down with the entry; no second one is
		// made while its result and the attempt itself cannot be.
		f.submit(t, entry("a", "bob@example.net"))
		time.Sleep(24 * time.Hour)
		if n := f.world.count(); n != 1 {
			t.Errorf("%d attempts", n)
		}
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := f.world.count(); n != 2 || f.spool.len() != 0 {
			t.Errorf("%d attempts, %d entries left", n, f.spool.len())
		}
	})
}

// TestFirstAttempt: what came while no queue ran, or was parked, is attempted
// once and counted once, and a crash before the first attempt costs its wait.
func TestFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.submit(t, entry("early", "bob@example.net"))
		if st := f.spool.state("early"); st.To[0].Attempts != 0 {
			t.Errorf("before Run: %+v", st.To[0])
		}
		f.world.took = time.Second
		f.world.answer = func(d *Delivery, _ Recipient) Result {
			if d.Attempt != 1 {
				t.Errorf("%s: attempt %d", d.Entry.ID, d.Attempt)
			}
			return ok
		}
		f.run(t)
		f.submitMany(t, 3*backlog, func(int) string { return "example.net" })
		time.Sleep(3 * time.Minute)
		if f.spool.len() != 0 || f.spool.saves != 1 {
			t.Errorf("%d left, %d states written", f.spool.len(), f.spool.saves)
		}
		f.world.took = time.Hour
		f.submit(t, entry("late", "bob@example.net"))
		if st := f.spool.state("late"); st.To[0].Attempts != 1 || time.Until(st.To[0].Next) != 5*time.Minute {
			t.Errorf("on disk: %+v", st.To[0])
		}
		f.stop(t)
	})
}

// TestOrderlyEnd: what waits in line when the process is asked to end is tried
// at once by the next one.
func TestOrderlyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.run(t)
		f.world.took = time.Second
		f.submitMany(t, 3*backlog, func(int) string { return "example.net" })
		f.submit(t, entry("two", "bob@example.net", "bob@example.com"))
		time.Sleep(1500 * time.Millisecond)
		f = f.restart(t)
		defer func() { f.stop(t) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if f.spool.len() != 0 || f.Counters().Deferred != 0 || f.world.count() != 3*backlog+2 {
			t.Errorf("%d left after %d attempts", f.spool.len(), f.world.count())
		}
		for _, a := range f.world.attempts {
			if a.attempt != 1 {
				t.Errorf("%s: attempt %d", a.id, a.attempt)
			}
		}
	})
}

// TestResultNotWritten: what was delivered is not delivered again because the
// disk did not take the news.
func TestResultNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var broken atomic.Bool
		broken.Store(true)
		f.spool.fail = func(op, _ string) error {
			if op == "remove" && broken.Load() {
				return errors.New("I/O error")
			}
			return nil
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net"))
		time.Sleep(time.Hour)
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := f.world.count(); n != 1 || f.spool.len() != 0 {
			t.Errorf("%d attempts, %d entries left", n, f.spool.len())
		}
	})
}

// TestPerRecipient: each recipient has its own fate, and one bounce tells of
// those that failed.
func TestPerRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(d *Delivery, r Recipient) Result {
			switch {
			case strings.HasPrefix(r.Path.Local, "no"):
				return never5
			case strings.HasPrefix(r.Path.Local, "later") && d.Attempt < 3:
				return grey
			}
			return ok
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "no1@example.net", "yes@example.net", "later@example.net", "no2@example.net", "no3@example.com"))
		synctest.Wait()
		st := f.spool.state("a")
		if st == nil || st.To[2].Status != Pending || st.To[1].Status != Delivered || st.To[0].Status != Failed || !st.To[0].Reported {
			t.Fatalf("after the first round %+v", st)
		}
		if f.notes.kinds() != "bounce" {
			t.Errorf("notifications %q, want one bounce", f.notes.kinds())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, a := range f.world.attempts[2:] {
			if !slices.Equal(a.to, []string{"later@example.net"}) {
				t.Errorf("later attempts for %v", a.to)
			}
		}
		if f.spool.len() != 0 || f.notes.kinds() != "bounce" {
			t.Errorf("%d left, notifications %q", f.spool.len(), f.notes.kinds())
		}
	})
}

// TestNoBounceForABounce: the null sender is not told, the postmaster is.
func TestNoBounceForABounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return never5 }
		f.run(t)
		defer f.stop(t)
		e := entry("a", "bob@example.net")
		e.From = smtp.Path{}
		f.submit(t, e)
		synctest.Wait()
		if f.notes.kinds() != "" || f.lost.kinds() != "bounce" || f.spool.len() != 0 {
			t.Errorf("notifications %q, undeliverable %q, %d left", f.notes.kinds(), f.lost.kinds(), f.spool.len())
		}
		if c := f.Counters(); c.Notices["undeliverable"] != 1 {
			t.Errorf("%+v", c.Notices)
		}
	})
}

// TestBounceIsRepeated: until the notification is stored, the entry stays.
func TestBounceIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return never5 }
		f.notes.err = errors.New("mailbox locked")
		f.run(t)
		defer func() { f.stop(t) }()
		f.submit(t, entry("a", "bob@example.net"))
		time.Sleep(time.Hour)
		if st := f.spool.state("a"); st == nil || st.To[0].Status != Failed || st.To[0].Reported {
			t.Fatalf("state %+v", st)
		}
		f = f.restart(t)
		f.notes.mu.Lock()
		f.notes.err = nil
		f.notes.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.notes.kinds() != "bounce" || f.spool.len() != 0 || f.world.count() != 1 {
			t.Errorf("notifications %q, %d left, %d attempts", f.notes.kinds(), f.spool.len(), f.world.count())
		}
	})
}

func TestNotifySettings(t *testing.T) {
	relayed := ok
	relayed.Relayed = true
	for _, c := range []struct {
		notify smtp.Notify
		result Result
		want   string
	}{
		{0, ok, ""}, {0, never5, "bounce"},
		{smtp.NotifySuccess, ok, "success"}, {smtp.NotifySuccess, never5, ""}, {smtp.NotifySuccess, relayed, ""},
		{smtp.NotifyFailure, never5, "bounce"}, {smtp.NotifyDelay, never5, ""}, {smtp.NotifyNever, never5, ""}, {smtp.NotifyNever, ok, ""},
		{smtp.NotifySuccess, grey, ""}, {smtp.NotifyDelay, grey, "delay"}, {0, grey, "delay bounce"}, {smtp.NotifyFailure, grey, "bounce"},
	} {
		t.Run(fmt.Sprintf("%v %v", c.notify, c.result.Status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				f.world.answer = func(*Delivery, Recipient) Result { return c.result }
				f.run(t)
				defer f.stop(t)
				e := entry("a", "bob@example.net")
				e.To[0].Params.Notify = c.notify
				f.submit(t, e)
				time.Sleep(6 * 24 * time.Hour)
				synctest.Wait()
				if got := f.notes.kinds(); got != c.want || f.spool.len() != 0 {
					t.Errorf("%q, want %q; %d left", got, c.want, f.spool.len())
				}
			})
		})
	}
}

// TestRestart: what was queued before is delivered by the next process, at the
// time written down and not before.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return grey }
		f.run(t)
		f.submit(t, entry("a", "bob@example.net"))
		time.Sleep(time.Minute)
		f = f.restart(t)
		defer func() { f.stop(t) }()
		time.Sleep(3 * time.Minute)
		if n := f.world.count(); n != 1 {
			t.Errorf("%d attempts before the time", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := f.world.count(); n != 2 || f.world.attempts[1].attempt != 2 {
			t.Errorf("%d attempts after it", n)
		}
	})
}

// TestShutdown: an attempt that our own end cuts off costs no patience, and one
// that is about to succeed is waited for.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.took = 5 * time.Second
		f.run(t)
		f.submit(t, entry("quick", "bob@example.net"))
		time.Sleep(time.Second)
		f.stop(t)
		if f.spool.len() != 0 {
			t.Error("an attempt under way was not waited for")
		}
		f = newFixture()
		f.world.took = time.Hour
		f.world.answer = func(*Delivery, Recipient) Result { return gone }
		f.run(t)
		f.submit(t, entry("slow", "bob@example.net"))
		time.Sleep(time.Second)
		f.stop(t)
		if st := f.spool.state("slow"); st.To[0].Attempts != 0 || st.To[0].Next.After(time.Now()) {
			t.Errorf("state %+v", st.To[0])
		}
		if err := f.Run(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("second Run: %v", err)
		}
	})
}

// TestGreylisting: 200 messages refused at their first attempt are all
// delivered at their first retry.
func TestGreylisting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.Schedule = Schedule{}
		f.world.took = 50 * time.Millisecond
		f.world.answer = func(d *Delivery, _ Recipient) Result {
			if d.Attempt == 1 {
				return grey
			}
			return ok
		}
		f.run(t)
		defer f.stop(t)
		f.submitMany(t, 200, func(int) string { return "example.net" })
		time.Sleep(5*time.Minute + 45*time.Second)
		synctest.Wait()
		if n := f.spool.len(); n != 0 || f.world.count() != 400 {
			t.Errorf("%d left after %d attempts", n, f.world.count())
		}
	})
}

// TestDeadHost: 10,000 messages for a dead host cost a few dials, and keep
// nobody waiting.
func TestDeadHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var dials atomic.Int32
		f.world.took = 10 * time.Millisecond
		f.world.answer = func(d *Delivery, _ Recipient) Result {
			if d.Destination == "dead.example" {
				dials.Add(1)
				time.Sleep(30 * time.Second)
				return gone
			}
			return ok
		}
		f.run(t)
		defer f.stop(t)
		begin := time.Now()
		f.submitMany(t, 10000, func(i int) string {
			if i%2 == 0 {
				return "dead.example"
			}
			return fmt.Sprintf("d%d.example", i%90)
		})
		for f.Counters().Delivered < 5000 && time.Since(begin) < time.Hour {
			time.Sleep(100 * time.Millisecond)
		}
		if d := time.Since(begin); d > 10*time.Second {
			t.Errorf("the living took %v", d)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if dials.Load() > 10 {
			t.Errorf("%d dials of the dead host", dials.Load())
		}
		if c := f.Counters(); c.Entries != 5000 || c.Down != 1 {
			t.Errorf("%+v", c)
		}
		time.Sleep(2 * time.Hour)
		if dials.Load() > 60 {
			t.Errorf("%d dials of the dead host in two hours", dials.Load())
		}
	})
}

// TestConcurrency: it starts low, grows, and stays within its bounds.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.DestinationConcurrency = 8
		f.Concurrency = 12
		f.world.took = time.Second
		f.run(t)
		defer f.stop(t)
		f.submitMany(t, 1000, func(i int) string { return fmt.Sprintf("d%d.example", i%2) })
		time.Sleep(500 * time.Millisecond)
		if n := f.world.count(); n != 2*firstWindow {
			t.Errorf("%d attempts at first, want %d", n, 2*firstWindow)
		}
		time.Sleep(time.Hour)
		if f.spool.len() != 0 {
			t.Errorf("%d left", f.spool.len())
		}
		for d, n := range f.world.most {
			if n > 8 || n < 5 {
				t.Errorf("%s: %d at once", d, n)
			}
		}
		f.mu.Lock()
		if len(f.dests.by) != 0 || f.loaded != 0 || f.jobs != 0 {
			t.Errorf("left in memory: %d destinations, %d entries, %d jobs", len(f.dests.by), f.loaded, f.jobs)
		}
		f.mu.Unlock()
	})
}

// TestSlowDestination: a destination that takes its time does not fill the
// memory, nor keep others waiting.
func TestSlowDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(d *Delivery, _ Recipient) Result {
			if d.Destination == "slow.example" {
				time.Sleep(time.Minute)
			}
			return ok
		}
		f.run(t)
		defer f.stop(t)
		f.submitMany(t, 5000, func(int) string { return "slow.example" })
		f.submit(t, entry("quick", "bob@quick.example"))
		time.Sleep(time.Second)
		f.mu.Lock()
		if f.loaded > backlog+30 {
			t.Errorf("%d entries in memory", f.loaded)
		}
		f.mu.Unlock()
		if f.spool.state("quick") != nil {
			t.Error("the quick one waits")
		}
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		if f.spool.len() != 0 || f.world.count() != 5001 {
			t.Errorf("%d left after %d attempts", f.spool.len(), f.world.count())
		}
	})
}

func TestRoom(t *testing.T) {
	f := newFixture()
	f.MaxEntries, f.MaxOctets = 2, 1000
	if err := f.Room(t.Context(), 1001); !errors.Is(err, ErrFull) {
		t.Errorf("too many octets: %v", err)
	}
	f.submit(t, entry("a", "bob@example.net"))
	if err := f.Room(t.Context(), 990); !errors.Is(err, ErrFull) {
		t.Errorf("too many octets with those queued: %v", err)
	}
	f.submit(t, entry("b", "bob@example.net"))
	if _, err := f.Begin(t.Context(), entry("c", "bob@example.net")); !errors.Is(err, ErrFull) {
		t.Errorf("third entry: %v", err)
	}
	f.MaxEntries = 0
	f.spool.fail = func(op, _ string) error {
		if op == "room" {
			return ErrFull
		}
		return nil
	}
	if err := f.Room(t.Context(), 0); !errors.Is(err, ErrFull) {
		t.Errorf("full spool: %v", err)
	}
	// The queue's own notifications are taken as long as the spool takes them.
	if err := f.SubmitNotification(t.Context(), &Notification{To: address("x@y.example"), Message: []byte(message)}); err != nil {
		t.Errorf("notification: %v", err)
	}
}

func TestNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.run(t)
		defer f.stop(t)
		e := entry("a", "bob@example.net")
		e.Params.HoldUntil = time.Now().Add(48 * time.Hour)
		f.submit(t, e)
		time.Sleep(47 * time.Hour)
		if f.world.count() != 0 {
			t.Error("sent before its time")
		}
		time.Sleep(61 * time.Minute)
		synctest.Wait()
		if f.world.count() != 1 || f.notes.kinds() != "" {
			t.Errorf("%d attempts, notifications %q", f.world.count(), f.notes.kinds())
		}
	})
}

func TestCommitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.spool.fail = func(op, _ string) error {
			if op == "commit" {
				return errors.New("no")
			}
			return nil
		}
		f.run(t)
		defer f.stop(t)
		if err := f.Submit(t.Context(), entry("a", "bob@example.net"), bytes.NewReader(nil)); err == nil {
			t.Error("Submit succeeds")
		}
		synctest.Wait()
		if f.world.count() != 0 || f.Counters().Entries != 0 {
			t.Error("what was not committed is delivered")
		}
	})
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	last := ""
	for i := range 1000 {
		id := NewID(time.UnixMicro(1767225600e6 + int64(i)))
		if !ValidID(id) || seen[id] || id <= last {
			t.Fatalf("id %q after %q", id, last)
		}
		seen[id], last = true, id
	}
	if a, b := NewID(time.Now()), NewID(time.Now().AddDate(50, 0, 0)); b < a {
		t.Errorf("%q sorts before %q", b, a)
	}
}

// TestDestinationsForgotten: domains that do not answer, of which strangers
// have as many as they like, do not fill the memory.
func TestDestinationsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return gone }
		f.Schedule.First, f.Schedule.Max = 100*time.Hour, 100*time.Hour
		f.run(t)
		defer f.stop(t)
		for range 4 {
			f.submitStrangers(t, maxDests/2)
			time.Sleep(time.Hour)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.dests.by) > maxDests {
			t.Errorf("%d destinations in memory", len(f.dests.by))
		}
	})
}
