package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inQueue runs a test on a queue whose messages are all greylisted.
func inQueue(t *testing.T, run func(t *testing.T, f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return grey }
		f.run(t)
		defer f.stop(t)
		run(t, f)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHold(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		must(t, f.Hold(t.Context(), "a"))
		time.Sleep(30 * 24 * time.Hour)
		if f.world.count() != 1 || f.notes.kinds() != "" || f.Counters().Held != 1 {
			t.Fatalf("while held: %d attempts, notifications %q", f.world.count(), f.notes.kinds())
		}
		f.world.answer = nil
		must(t, f.Release(t.Context(), "a"))
		synctest.Wait()
		if f.world.count() != 2 || f.spool.len() != 0 || f.notes.kinds() != "" {
			t.Errorf("after release: %d attempts, %d left, notifications %q", f.world.count(), f.spool.len(), f.notes.kinds())
		}
	})
}

// TestHoldWhileDelivering: a command that meets an attempt is obeyed after it.
func TestHoldWhileDelivering(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.world.took = time.Minute
		f.submit(t, entry("a", "bob@example.net"))
		time.Sleep(time.Second)
		must(t, f.Hold(t.Context(), "a"))
		time.Sleep(24 * time.Hour)
		if st := f.spool.state("a"); !st.Held || f.world.count() != 1 || st.To[0].Last.Code != 451 {
			t.Errorf("%d attempts, state %+v", f.world.count(), st)
		}
	})
}

func TestRetry(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		for n := 2; n < 5; n++ {
			must(t, f.Retry(t.Context(), "a"))
			synctest.Wait()
			if f.world.count() != n {
				t.Fatalf("%d attempts, want %d", f.world.count(), n)
			}
		}
	})
}

func TestRouteCommand(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		must(t, f.Route(t.Context(), "a", "smart"))
		synctest.Wait()
		if f.world.count() != 2 || f.world.attempts[1].destination != "route smart" {
			t.Errorf("%+v", f.world.attempts)
		}
	})
}

func TestExpire(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		must(t, f.Hold(t.Context(), "a"))
		must(t, f.Expire(t.Context(), "a"))
		synctest.Wait()
		if f.world.count() != 1 || f.notes.kinds() != "bounce" || f.spool.len() != 0 || f.Counters().Expired != 1 {
			t.Errorf("%d attempts, notifications %q, %d left, %+v", f.world.count(), f.notes.kinds(), f.spool.len(), f.Counters())
		}
	})
}

func TestRemove(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.submit(t, entry("a", "bob@example.net"))
		synctest.Wait()
		must(t, f.Remove(t.Context(), "a"))
		f.world.took = time.Minute
		f.submit(t, entry("b", "bob@example.net"))
		time.Sleep(time.Second)
		must(t, f.Remove(t.Context(), "b")) // under way
		if _, _, err := f.spool.Load(t.Context(), "b"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a crash would bring back what was removed: %v", err)
		}
		time.Sleep(24 * time.Hour)
		if f.spool.len() != 0 || f.world.count() != 2 || f.notes.kinds() != "" || f.Counters().Entries != 0 {
			t.Errorf("%d left, %d attempts", f.spool.len(), f.world.count())
		}
	})
}

func TestFlush(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.submitMany(t, 10, func(i int) string { return fmt.Sprintf("d%d.example", i%2) })
		synctest.Wait()
		must(t, f.Hold(t.Context(), "e00000"))
		n, err := f.Flush(t.Context(), "d1.example")
		synctest.Wait()
		if n != 5 || err != nil || f.world.count() != 15 {
			t.Errorf("flushed %d, %v; %d attempts", n, err, f.world.count())
		}
		n, err = f.Flush(t.Context(), "")
		synctest.Wait()
		if n != 9 || err != nil || f.world.count() != 24 {
			t.Errorf("flushed %d, %v; %d attempts", n, err, f.world.count())
		}
	})
}

func TestUnknown(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		_, show := f.Show(ctx, "x")
		_, explain := f.Explain(ctx, "x")
		for _, err := range []error{show, explain, f.Hold(ctx, "x"), f.Release(ctx, "x"), f.Retry(ctx, "x"), f.Route(ctx, "x", ""), f.Expire(ctx, "x"), f.Remove(ctx, "x")} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestList(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		for i := range 50 {
			e := entry(fmt.Sprintf("x%02d", 99-i), fmt.Sprintf("bob@d%d.example", i%5))
			e.From = address(fmt.Sprintf("u%d@example.org", i%2))
			f.submit(t, e)
			time.Sleep(time.Second)
		}
		list := func(flt Filter) string {
			t.Helper()
			vs, err := f.List(t.Context(), flt)
			must(t, err)
			var ids []string
			for _, v := range vs {
				ids = append(ids, v.ID)
			}
			return strings.Join(ids, " ")
		}
		if got := list(Filter{Limit: 3}); got != "x99 x98 x97" {
			t.Errorf("oldest: %s", got)
		}
		if got := list(Filter{Limit: 2, To: "D3.example"}); got != "x96 x91" {
			t.Errorf("by domain: %s", got)
		}
		if got := list(Filter{Limit: 2, To: "bob@d3.example", From: "u0@example.org"}); got != "x91 x81" {
			t.Errorf("by both: %s", got)
		}
		if got := list(Filter{Limit: 2, Older: time.Minute}); got != "" {
			t.Errorf("none is so old: %s", got)
		}
		if got := list(Filter{Limit: 9, Older: 48*time.Second + 500*time.Millisecond}); got != "x99 x98" {
			t.Errorf("the oldest: %s", got)
		}
		if got := list(Filter{Reply: "no such words"}); got != "" {
			t.Errorf("by a reply that none had: %s", got)
		}
		must(t, f.Hold(t.Context(), "x60"))
		if got := list(Filter{Held: true}); got != "x60" {
			t.Errorf("held: %s", got)
		}
		if got := list(Filter{To: "none.example"}); got != "" {
			t.Errorf("none: %s", got)
		}
		if vs, _ := f.List(t.Context(), Filter{}); len(vs) != 50 {
			t.Errorf("all: %d", len(vs))
		}
	})
}

// TestExplain: the words an operator gets.
func TestExplain(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		why := func(id string) string {
			t.Helper()
			x, err := f.Explain(t.Context(), id)
			must(t, err)
			if _, err := json.Marshal(x); err != nil {
				t.Error(err)
			}
			return strings.Join(x.Why, "\n")
		}
		f.world.answer = func(d *Delivery, r Recipient) Result {
			switch r.Path.DomainName().String() {
			case "dead.example":
				return gone
			case "policy.example":
				return Result{Status: Pending, Enhanced: "4.7.5", Text: "TLS policy (mta-sts): certificate of mx.policy.example: x509: certificate has expired", Host: "mx.policy.example [192.0.2.3]:25"}
			}
			r2 := grey
			r2.TLS = "TLS1.3 verified"
			return r2
		}
		f.submit(t, entry("a", "bob@example.net"))
		f.submit(t, entry("b", "bob@dead.example"))
		f.submit(t, entry("c", "bob@policy.example"))
		time.Sleep(10 * time.Second)
		for id, want := range map[string][]string{
			"a": {"bob@example.net: 1 attempt so far", "10s ago", "mx.example.net [192.0.2.1]:25 answered 451 4.7.1 Greylisted (TLS1.3 verified).", "next attempt is due in 4m50s", "given up in 4d23h"},
			"b": {"connection refused", "dead.example was found unreachable and is left alone for 50s"},
			"c": {"TLS policy (mta-sts)", "has expired"},
		} {
			got := why(id)
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("%s: %q is not in\n%s", id, w, got)
				}
			}
		}
		must(t, f.Hold(t.Context(), "a"))
		if got := why("a"); !strings.Contains(got, "held by an operator") {
			t.Errorf("held: %s", got)
		}
		f.world.took = time.Hour
		f.submit(t, entry("d", "bob@slow.example"))
		time.Sleep(time.Second)
		if got := why("d"); !strings.Contains(got, "under way") {
			t.Errorf("running: %s", got)
		}
	})
}

// TestRouteInLine: a message that waits in line goes the way that an operator
// has chosen meanwhile, and at once.
func TestRouteInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.took = time.Minute
		f.run(t)
		defer f.stop(t)
		f.submitMany(t, 2*firstWindow, func(int) string { return "example.net" })
		time.Sleep(time.Second)
		last := fmt.Sprintf("e%05d", 2*firstWindow-1)
		must(t, f.Route(t.Context(), last, "smart"))
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		seen := 0
		for _, a := range f.world.attempts {
			if a.id == last {
				if seen++; a.destination != "route smart" || a.attempt != 1 {
					t.Errorf("attempt %d at %s", a.attempt, a.destination)
				}
			}
		}
		if seen != 1 || f.spool.len() != 0 {
			t.Errorf("%d attempts, %d left", seen, f.spool.len())
		}
	})
}

// TestFilterReply: a filter by a reply sees the last ones of recipients that still wait, in whatever case, and no others.
func TestFilterReply(t *testing.T) {
	e := &Entry{To: []Recipient{{Path: address("a@b.example")}, {Path: address("c@d.example")}}}
	st := &State{To: []RcptState{{Status: Pending}, {Status: Delivered}}}
	st.To[0].Last.Code, st.To[0].Last.Enhanced, st.To[0].Last.Text = 451, "4.7.1", "Greylisted, come again"
	st.To[1].Last.Code, st.To[1].Last.Text = 250, "queued"
	for want, fits := range map[string]bool{"greylist": true, "451": true, "4.7.1": true, "queued": false, "5.7.1": false, "": true} {
		if got := (Filter{Reply: want}).match(e, st); got != fits {
			t.Errorf("%q: %t", want, got)
		}
	}
	if (Filter{Reply: "greylist", To: "d.example"}).match(e, st) || !(Filter{Reply: "greylist", To: "b.example"}).match(e, st) {
		t.Error("a reply to another recipient")
	}
}
