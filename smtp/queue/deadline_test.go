package queue

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// TestDeadline: mail that is late goes back (mode R), or its sender hears of it while
// it is tried on (mode N), also where the queue had to start again meanwhile.
func TestDeadline(t *testing.T) {
	const after = 47 * time.Minute
	for _, c := range []struct {
		name    string
		returns bool
		notify  smtp.Notify
		answer  Result
		hold    time.Duration
		told    string
		left    int
	}{
		{"returned", true, 0, grey, 0, "bounce", 0},
		{"delivered in time", true, 0, ok, 0, "", 0},
		{"told", false, 0, grey, 0, "delay", 1},
		{"not told", false, smtp.NotifyFailure, grey, 0, "", 1},
		{"returned in silence", true, smtp.NotifyNever, grey, 0, "", 0},
		{"held beyond it", true, 0, ok, 2 * after, "bounce", 0},
	} {
		for _, restarts := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				f.world.answer = func(*Delivery, Recipient) Result { return c.answer }
				f.run(t)
				e := entry("a", "bob@example.net")
				e.To[0].Params.Notify = c.notify
				e.Params.By = &smtp.DeliverBy{By: time.Now().Add(after), Return: c.returns}
				if c.hold > 0 {
					e.Params.HoldUntil = time.Now().Add(c.hold)
				}
				f.submit(t, e)
				synctest.Wait()
				if restarts {
					f = f.restart(t)
				}
				defer func() { f.stop(t) }()
				time.Sleep(after - time.Second)
				synctest.Wait()
				if got := f.notes.kinds(); got != "" {
					t.Errorf("%s: told too early: %s", c.name, got)
				}
				time.Sleep(max(2*time.Second, c.hold-after+2*time.Second))
				synctest.Wait()
				if restarts && c.told == "delay" {
					time.Sleep(DefaultMax) // the envelope is read with the next attempt
				}
				if got := strings.TrimSpace(f.notes.kinds()); got != c.told || f.Counters().Entries != c.left {
					t.Fatalf("%s, restarted %v: told %q and %d left, want %q and %d", c.name, restarts, got, f.Counters().Entries, c.told, c.left)
				}
				if c.told == "bounce" {
					contains(t, string(f.notes.all[0].Message), "Status: 5.4.7", "Action: failed")
				}
			})
		}
	}
}

// TestPriority: of what waits for a destination the higher priority goes first, and
// within one the older.
func TestPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.DestinationConcurrency = 1
		f.world.took = time.Second
		f.run(t)
		defer f.stop(t)
		for i, priority := range []int{0, 0, -9, 4, 0, 9, 4, -9} {
			e := entry(fmt.Sprint("e", i), "bob@example.net")
			e.Params.Priority = priority
			f.submit(t, e)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		f.world.mu.Lock()
		defer f.world.mu.Unlock()
		var order string
		for _, a := range f.world.attempts {
			order += a.id + " "
		}
		if order != "e0 e5 e3 e6 e1 e4 e2 e7 " { // e0 runs when the others come
			t.Errorf("the order is %s", order)
		}
	})
}

// TestPriorityBeforeParked: what is urgent takes the next free place in line, whatever waits for one.
func TestPriorityBeforeParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.DestinationConcurrency = 1
		f.world.took = time.Minute
		f.run(t)
		defer f.stop(t)
		for i := range backlog + 50 {
			f.submit(t, entry(fmt.Sprint("e", i), "bob@example.net"))
		}
		time.Sleep(10*time.Minute + time.Second) // there is room in line, and others are not called yet
		urgent := entry("urgent", "bob@example.net")
		urgent.Params.Priority = 4
		f.submit(t, urgent)
		f.submit(t, entry("late", "bob@example.net"))
		time.Sleep((backlog + 60) * time.Minute)
		f.world.mu.Lock()
		defer f.world.mu.Unlock()
		n := len(f.world.attempts)
		if n != backlog+52 || f.world.attempts[11].id != "urgent" || f.world.attempts[n-1].id != "late" {
			t.Errorf("%d attempts, the twelfth is for %s, the last one for %s", n, f.world.attempts[11].id, f.world.attempts[n-1].id)
		}
	})
}
