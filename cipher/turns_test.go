package cipher

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// turns is a verifier of one slot, taken, and the order in which others get it.
type turns struct {
	t *testing.T
	v Verifier

	mu    sync.Mutex
	order []string
}

func inTurns(t *testing.T, test func(q *turns)) {
	synctest.Test(t, func(t *testing.T) {
		q := &turns{t: t, v: Verifier{AllowPlain: true, Concurrency: 1}}
		q.v.once.Do(q.v.start)
		q.v.dummy = &form{check: func([]byte) bool { time.Sleep(time.Second); return false }}
		go q.v.Dummy(t.Context(), nil) // takes the slot for a second
		synctest.Wait()
		test(q)
	})
}

func (q *turns) try(name string, a Attempt) {
	go func() {
		if err := q.v.Try(q.t.Context(), a); errors.Is(err, ErrMismatch) {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.order = append(q.order, name)
		}
	}()
	synctest.Wait()
}

// TestKnownFirst: a storm of guesses does not make those wait who have been
// right before.
func TestKnownFirst(t *testing.T) {
	inTurns(t, func(q *turns) {
		for range 3 {
			q.try("stranger", Attempt{})
		}
		q.try("known", Attempt{Known: true})
		q.try("known", Attempt{Stored: plainA, Account: "alice", Password: []byte("x"), Known: true})
		time.Sleep(time.Minute)
		q.mu.Lock()
		defer q.mu.Unlock()
		// One stranger may be ahead: who is at the slot already stays there.
		last := 0
		for i, who := range q.order {
			if who == "known" {
				last = i
			}
		}
		if len(q.order) != 5 || last > 2 {
			t.Errorf("turns went to %v", q.order)
		}
	})
}

// TestAllowedInTurn: whether an attempt is still allowed is asked when its turn
// has come, and it costs nothing if not.
func TestAllowedInTurn(t *testing.T) {
	inTurns(t, func(q *turns) {
		left := 2
		throttled := errors.New("throttled")
		start := time.Now()
		var errs []error
		done := make(chan error)
		for range 5 {
			go func() {
				done <- q.v.Try(q.t.Context(), Attempt{Allowed: func() error {
					if left--; left < 0 {
						return throttled
					}
					return nil
				}})
			}()
		}
		for range 5 {
			errs = append(errs, <-done)
		}
		if n := len(slices.DeleteFunc(errs, func(err error) bool { return err != throttled })); n != 3 {
			t.Errorf("%d attempts were not allowed, want 3", n)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("two attempts behind one took %v, want 3 s", took)
		}
	})
}

// TestGivesUpWaiting: who leaves before the turn leaves nothing behind.
func TestGivesUpWaiting(t *testing.T) {
	inTurns(t, func(q *turns) {
		for _, known := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(q.t.Context(), time.Millisecond)
			if err := q.v.Try(ctx, Attempt{Known: known}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("known %t: %v", known, err)
			}
			cancel()
		}
		time.Sleep(time.Minute)
		if !q.v.slots.TryAcquire(1) || !q.v.gate.TryAcquire(1) {
			t.Error("slots are gone")
		}
	})
}
