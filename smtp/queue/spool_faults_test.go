package queue

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// delivered is who got a message, once for each time, and who was told of it.
func (f *fixture) delivered() (to []string, told string) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	for _, a := range f.world.attempts {
		for _, r := range a.to {
			if !strings.HasPrefix(r, "no") && (!strings.HasPrefix(r, "later") || a.attempt > 1) {
				to = append(to, r)
			}
		}
	}
	slices.Sort(to)
	return to, f.notes.kinds()
}

// fates answers by the local part of an address.
func fates(d *Delivery, r Recipient) Result {
	switch {
	case strings.HasPrefix(r.Path.Local, "no"):
		return never5
	case strings.HasPrefix(r.Path.Local, "later") && d.Attempt < 2:
		return grey
	}
	return ok
}

// TestEachSpoolCallFails: whichever call of the spool fails, once, each recipient gets the
// message once and the sender one bounce, also where the process ends some minutes later.
func TestEachSpoolCallFails(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		failed := mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				f.world.answer = fates
				f.spool.fail = func(op, _ string) error { return n.Fail(op) }
				f.run(t)
				e := entry("a", "yes@a.example", "later@b.example", "no@c.example", "yes@d.example")
				e.To[3].Params.Notify = smtp.NotifySuccess
				for f.Submit(t.Context(), e, strings.NewReader(message)) != nil {
					if n.Failed() == "" {
						t.Fatal("nothing failed, and the message is not queued")
					}
				}
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				if restarts {
					f = f.restart(t)
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				f.stop(t)
				to, told := f.delivered()
				if got, want := fmt.Sprint(to), "[later@b.example yes@a.example yes@d.example]"; got != want {
					t.Errorf("%s fails: delivered to %s", n.Failed(), got)
				}
				if told != "bounce success" && told != "success bounce" {
					t.Errorf("%s fails: the sender hears of %q", n.Failed(), told)
				}
				if left := f.spool.len(); left != 0 {
					t.Errorf("%s fails: %d entries are left", n.Failed(), left)
				}
			})
		})
		for _, op := range []string{"begin", "commit", "save", "open", "remove"} {
			if !slices.Contains(failed, op) {
				t.Errorf("no %s has failed: %q", op, failed)
			}
		}
	}
}

// TestFullDiskThenRestart: results that could not be written for an hour are written when
// there is room again, so that nothing is done twice after a restart.
func TestFullDiskThenRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = fates
		full := false
		f.spool.fail = func(op, _ string) error {
			if full && (op == "save" || op == "remove") {
				return ErrFull
			}
			return nil
		}
		f.world.took = time.Minute
		f.run(t)
		f.submit(t, entry("a", "yes@a.example", "later@b.example", "no@c.example"))
		time.Sleep(30 * time.Second)
		f.spool.mu.Lock()
		full = true
		f.spool.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if told := f.notes.kinds(); told != "" {
			t.Errorf("the sender hears of %q before it is written down", told)
		}
		f.spool.mu.Lock()
		full = false
		f.spool.mu.Unlock()
		time.Sleep(90 * time.Second) // the writing is tried once a minute
		synctest.Wait()
		f = f.restart(t)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		f.stop(t)
		to, told := f.delivered()
		if got := fmt.Sprint(to); got != "[later@b.example yes@a.example]" || told != "bounce" || f.spool.len() != 0 {
			t.Errorf("delivered to %s, the sender hears of %q, %d entries are left", got, told, f.spool.len())
		}
	})
}

// TestRemoveFails: an entry that could not be removed is in the queue as before, and may
// be removed afterwards.
func TestRemoveFails(t *testing.T) {
	for _, held := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture()
			f.world.answer = func(d *Delivery, _ Recipient) Result {
				if d.Attempt == 1 {
					return grey
				}
				return ok
			}
			broken := false
			f.spool.fail = func(op, _ string) error {
				if broken && op == "remove" {
					return mailtest.ErrNth
				}
				return nil
			}
			f.run(t)
			defer f.stop(t)
			f.submit(t, entry("a", "bob@example.net"))
			f.submit(t, entry("b", "bob@example.net"))
			synctest.Wait()
			if held {
				must(t, f.Hold(t.Context(), "a"))
				must(t, f.Hold(t.Context(), "b"))
			}
			f.spool.mu.Lock()
			broken = true
			f.spool.mu.Unlock()
			for _, id := range []string{"a", "b"} {
				if err := f.Remove(t.Context(), id); err == nil {
					t.Error("removed with a broken disk")
				}
			}
			if n := f.Counters().Held; held && n != 2 {
				t.Errorf("%d are held", n)
			}
			f.spool.mu.Lock()
			broken = false
			f.spool.mu.Unlock()
			must(t, f.Remove(t.Context(), "b"))
			if held {
				must(t, f.Release(t.Context(), "a"))
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := f.world.count(); n != 3 || f.spool.len() != 0 || f.Counters().Entries != 0 {
				t.Errorf("held %v: %d attempts, %d entries left, %d known", held, n, f.spool.len(), f.Counters().Entries)
			}
		})
	}
}

// TestRemoveWhileUnwritten: an entry that waits for its result to be written leaves
// the queue at once when it is removed.
func TestRemoveWhileUnwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(d *Delivery, _ Recipient) Result { return grey }
		broken := false
		f.spool.fail = func(op, _ string) error {
			if broken && op == "save" {
				return mailtest.ErrNth
			}
			return nil
		}
		f.world.took = time.Second
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net"))
		f.spool.mu.Lock()
		broken = true
		f.spool.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		must(t, f.Remove(t.Context(), "a"))
		synctest.Wait()
		if c := f.Counters(); c.Entries != 0 || c.Octets != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// TestGoneMeanwhile: an entry that somebody took out of the spool, or that is damaged, is
// no more in the queue, and one that cannot be loaded for a while is tried again.
func TestGoneMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		err     error
		entries int
	}{{ErrNotFound, 0}, {ErrCorrupt, 0}, {mailtest.ErrNth, 1}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture()
			f.world.answer = fates
			var fails error
			f.spool.fail = func(op, _ string) error {
				if op == "load" {
					return fails
				}
				return nil
			}
			f.run(t)
			defer f.stop(t)
			f.submit(t, entry("a", "later@example.net"))
			synctest.Wait()
			f.spool.mu.Lock()
			fails = tt.err
			f.spool.mu.Unlock()
			if _, err := f.Show(t.Context(), "a"); err != tt.err {
				t.Errorf("Show: %v", err)
			}
			list, err := f.List(t.Context(), Filter{})
			if len(list) != 0 || (err != nil) != (tt.entries == 1) {
				t.Errorf("%v: List: %v, %v", tt.err, list, err)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := f.Counters().Entries; n != tt.entries {
				t.Errorf("%v: %d entries", tt.err, n)
			}
			f.spool.mu.Lock()
			fails = nil
			f.spool.mu.Unlock()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if n := f.world.count(); n != 1+tt.entries {
				t.Errorf("%v: %d attempts", tt.err, n)
			}
		})
	}
}

// TestReleaseFails: an entry whose release could not be written down is held still.
func TestReleaseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return grey }
		broken := false
		f.spool.fail = func(op, _ string) error {
			if broken && op == "save" {
				return mailtest.ErrNth
			}
			return nil
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		must(t, f.Hold(t.Context(), "a"))
		f.spool.mu.Lock()
		broken = true
		f.spool.mu.Unlock()
		if err := f.Release(t.Context(), "a"); err == nil {
			t.Error("released with a broken disk")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := f.Counters().Held; n != 1 || f.world.count() != 1 {
			t.Errorf("%d are held, %d attempts", n, f.world.count())
		}
	})
}

// TestGoneBeforeTheCommand: what an operator wants of an entry that is not in the spool
// any more, or damaged there, takes it out of the queue.
func TestGoneBeforeTheCommand(t *testing.T) {
	for _, gone := range []error{ErrNotFound, ErrCorrupt} {
		for name, command := range map[string]func(f *fixture) error{
			"remove": func(f *fixture) error { return f.Remove(t.Context(), "a") },
			"hold":   func(f *fixture) error { return f.Hold(t.Context(), "a") },
			"wait":   func(*fixture) error { time.Sleep(time.Hour); return gone },
		} {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				f.world.answer = fates
				f.run(t)
				defer f.stop(t)
				f.submit(t, entry("a", "later@example.net"))
				synctest.Wait()
				f.spool.mu.Lock()
				f.spool.fail = func(op, _ string) error {
					if op == "begin" || op == "commit" || op == "room" {
						return nil
					}
					return gone
				}
				f.spool.mu.Unlock()
				err := command(f)
				synctest.Wait()
				if (name == "remove") != (err == nil) || f.Counters().Entries != 0 {
					t.Errorf("%s, %v: %v, %d entries", name, gone, err, f.Counters().Entries)
				}
			})
		}
	}
}

// TestSettledAndGone: an entry that is delivered and not in the spool any more is no
// trouble.
func TestSettledAndGone(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.world.answer = fates
		f.spool.fail = func(op, _ string) error {
			if op == "remove" {
				return ErrNotFound
			}
			return nil
		}
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		if n := f.Counters().Entries; n != 0 || f.world.count() != 1 {
			t.Errorf("%d entries, %d attempts", n, f.world.count())
		}
	})
}

// TestAttemptNotWritten: an attempt that cannot be written down is not made and does not
// count, and is made when it can.
func TestAttemptNotWritten(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.world.answer = fates
		f.submit(t, entry("a", "later@example.net"))
		synctest.Wait()
		f.spool.mu.Lock()
		f.spool.fail = func(op, _ string) error {
			if op == "save" {
				return ErrFull
			}
			return nil
		}
		f.spool.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := f.world.count(); n != 1 {
			t.Errorf("%d attempts with a disk that is full", n)
		}
		f.spool.mu.Lock()
		f.spool.fail = nil
		f.spool.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := f.world.count(); n != 2 || f.world.attempts[1].attempt != 2 || f.spool.len() != 0 {
			t.Errorf("%+v, %d left", f.world.attempts, f.spool.len())
		}
	})
}
