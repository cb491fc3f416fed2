package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestIsGone: an entry is gone by whatever way that is said, and by nothing else.
func TestIsGone(t *testing.T) {
	for err, want := range map[error]bool{
		ErrNotFound: true, ErrCorrupt: true, fmt.Errorf("load x: %w", ErrNotFound): true, fmt.Errorf("load x: %w", ErrCorrupt): true,
		nil: false, errors.New("input/output error"): false, context.Canceled: false, ErrFull: false,
	} {
		if isGone(err) != want {
			t.Errorf("%v: gone: %v", err, !want)
		}
	}
}

// TestIDs: they are of one length, sort by time, and the rest of them is nobody's guess.
func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-z]{11}[1-9a-z][0-9a-z]{7}$`)
	seen := make(map[string]bool)
	last := ""
	for i := range 20_000 {
		at := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 97 * time.Hour) // over two hundred years
		id := NewID(at)
		if at.Year() < 2100 && (!form.MatchString(id) || id <= last) {
			t.Fatalf("%q behind %q, at %v", id, last, at)
		}
		seen[id[11:]], last = true, id
	}
	if len(seen) < 19_990 {
		t.Errorf("%d endings of 20000", len(seen))
	}
}

// TestWaiting: whatever is filed, moved and taken out, what is due comes in the order of its time, and nothing else.
func TestWaiting(t *testing.T) {
	const seed = 20261130
	random := rand.New(rand.NewPCG(seed, seed))
	for range 200 {
		var w waiting
		items := make([]*item, 20)
		for i := range items {
			items[i] = &item{pos: -1, next: never}
		}
		filed := func() (all []*item) {
			for _, it := range items {
				if it.next != never {
					all = append(all, it)
				}
			}
			slices.SortFunc(all, func(a, b *item) int { return int(a.next - b.next) })
			return all
		}
		for range 100 {
			it := items[random.IntN(len(items))]
			switch random.IntN(4) {
			case 0:
				it.next = never
				w.put(it)
			case 1:
				w.take(it)
				it.next = never
			default:
				it.next = random.Int64N(1000)
				w.put(it)
			}
			if want := filed(); len(w) != len(want) || len(want) > 0 && w[0].next != want[0].next {
				t.Fatalf("%d are filed, want %d", len(w), len(want))
			}
		}
		now := time.Unix(0, 500)
		for _, want := range filed() {
			it, wait := w.due(now)
			if want.next > 500 {
				if it != nil || wait != time.Duration(want.next-500) {
					t.Fatalf("%v, in %v, want in %d", it, wait, want.next-500)
				}
				break
			}
			if it == nil || it.next != want.next || it.pos != -1 || wait != 0 {
				t.Fatalf("%v, want what is due at %d", it, want.next)
			}
		}
	}
}

// TestUnattempted: those whose first attempt was written down and not made are due at once, and nobody else is.
func TestUnattempted(t *testing.T) {
	queued, later := time.Unix(1000, 0), time.Unix(9000, 0)
	made := Result{Time: time.Unix(2000, 0)}
	for _, c := range []struct {
		r   RcptState
		due bool
	}{
		{RcptState{Status: Pending, Attempts: 1, Next: later}, true}, {RcptState{Status: Pending, Attempts: 1, Next: later, Last: made}, false},
		{RcptState{Status: Pending, Attempts: 2, Next: later}, false}, {RcptState{Status: Pending, Attempts: 2, Next: later, Last: made}, false},
		{RcptState{Status: Pending, Attempts: 0, Next: later}, false}, {RcptState{Status: Delivered, Attempts: 1, Next: later}, false}, {RcptState{Status: Failed, Attempts: 1, Next: later}, false},
	} {
		s := &State{Queued: queued, To: []RcptState{c.r, c.r}}
		s.unattempted()
		for _, r := range s.To {
			if due := r.Next.Equal(queued) && r.Attempts == 0; due != c.due || !due && (r.Attempts != c.r.Attempts || !r.Next.Equal(later)) {
				t.Errorf("%+v became %+v", c.r, r)
			}
		}
	}
}

// TestDisbelievedCodes: the codes of RFC 7372 and 7489, and a host's own words beside a code of policy, say that it could not make
// sure who a message is from.
func TestDisbelievedCodes(t *testing.T) {
	for i := range 40 {
		r := Result{Code: 550, Enhanced: fmt.Sprintf("5.7.%d", i)}
		if got, want := r.Disbelieved(), i >= 20 && i <= 26; got != want {
			t.Errorf("%s: %v", r.Enhanced, got)
		}
	}
	for text, want := range map[string]bool{"fails DMARC": true, "spf check": true, "unauthenticated mail": true, "spfx": false, "spam": false} {
		for _, c := range []struct {
			code     int
			enhanced string
			policy   bool
		}{{550, "5.7.1", true}, {500, "5.7.0", true}, {499, "5.7.1", false}, {550, "5.1.1", false}, {550, "", false}, {450, "4.7.1", false}} {
			if got := (&Result{Code: c.code, Enhanced: c.enhanced, Text: text}).Disbelieved(); got != (want && c.policy) {
				t.Errorf("%d %s %s: %v", c.code, c.enhanced, text, got)
			}
		}
	}
}

// TestWarnedAfterRestart: a delay is told of at its own time also by a queue that found the message there when it
// started, and once.
func TestWarnedAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return Result{Status: Pending, Code: 450, Text: "later"} }
		slow := Schedule{First: 3 * time.Hour, Max: 3 * time.Hour, Warn: 4 * time.Hour, Jitter: -1}
		f.Config.Schedule = slow
		f.run(t)
		f.submit(t, entry("a", "bob@example.net"))
		time.Sleep(3*time.Hour + time.Minute) // two attempts; the third is at six
		f.stop(t)
		n := newFixture()
		n.spool, n.world, n.notes, n.lost = f.spool, f.world, f.notes, f.lost
		n.Queue.Spool, n.Queue.Transport, n.Queue.Notify, n.Queue.Undeliverable = n.spool, n.world, n.notes.take, n.lost.take
		n.Config.Schedule = slow
		n.run(t)
		defer n.stop(t)
		time.Sleep(58 * time.Minute)
		synctest.Wait()
		if all := told(n); len(all) != 0 {
			t.Errorf("told before it is time: %d", len(all))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if all := told(n); len(all) != 1 || all[0].Kind != Delay {
			t.Errorf("%d notifications at four hours", len(all))
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if all := told(n); len(all) != 1 {
			t.Errorf("%d notifications", len(all))
		}
	})
}

// told are the notifications so far.
func told(f *fixture) []*Notification {
	f.notes.mu.Lock()
	defer f.notes.mu.Unlock()
	return slices.Clone(f.notes.all)
}

// TestNothingNewToRemember: what was taken up at the start is not written again before there is anything new.
func TestNothingNewToRemember(t *testing.T) {
	m := &kept{}
	q := &Queue{Memory: m}
	q.start()
	q.known.note(Ordinary, "known.example")
	q.remember(t.Context(), time.Time{})
	if m.writes != 1 {
		t.Fatalf("remembered %d times", m.writes)
	}
	next := &Queue{Memory: m}
	next.start()
	next.recollect(t.Context())
	if next.remember(t.Context(), time.Time{}); m.writes != 1 || !next.known.has("known.example") {
		t.Errorf("remembered %d times, and knows: %v", m.writes, next.known.has("known.example"))
	}
	next.known.note(Ordinary, "new.example")
	if next.remember(t.Context(), time.Time{}); m.writes != 2 {
		t.Errorf("remembered %d times", m.writes)
	}
}

// TestListLooksAtAll: a list is of all entries that fit, wherever they stand, whatever a piece would look at.
func TestListLooksAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		for i := range 20 {
			f.submit(t, entry(fmt.Sprintf("e%02d", i), "bob@example.net"))
		}
		f.submit(t, entry("last", "eve@example.com"))
		if all, err := f.List(t.Context(), Filter{To: "example.com", Look: 3}); err != nil || len(all) != 1 {
			t.Errorf("%d, %v", len(all), err)
		}
		if p, err := f.Piece(t.Context(), Filter{To: "example.com", Look: 3}); err != nil || len(p.Entries) != 0 {
			t.Errorf("a piece of it: %d, %v", len(p.Entries), err)
		}
	})
}
