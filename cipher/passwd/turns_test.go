package passwd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// line is a verifier of one slot, taken, and the order in which others get it.
type line struct {
	t *testing.T
	v Verifier

	mu    sync.Mutex
	order []string
}

// left is how many slots are free.
func (t *turns) left() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.free
}

func inTurns(t *testing.T, test func(q *line)) {
	synctest.Test(t, func(t *testing.T) {
		q := &line{t: t, v: Verifier{AllowPlain: true, Concurrency: 1}}
		q.v.once.Do(q.v.start)
		q.v.dummy = &form{check: func([]byte) bool { time.Sleep(time.Second); return false }}
		go q.v.Dummy(t.Context(), nil) // takes the slot for a second
		synctest.Wait()
		test(q)
	})
}

func (q *line) try(name string, a Attempt) {
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
	inTurns(t, func(q *line) {
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
	inTurns(t, func(q *line) {
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
	inTurns(t, func(q *line) {
		for _, known := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(q.t.Context(), time.Millisecond)
			if err := q.v.Try(ctx, Attempt{Known: known}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("known %t: %v", known, err)
			}
			cancel()
		}
		time.Sleep(time.Minute)
		if q.v.turns.left() != 1 {
			t.Error("slots are gone")
		}
	})
}

// served is the order in which those who tried came to their turn.
func (q *line) served() []string {
	time.Sleep(time.Hour)
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.order
}

// TestSourcesTakeTurns: two hundred attempts from one place hold nobody else up.
func TestSourcesTakeTurns(t *testing.T) {
	inTurns(t, func(q *line) {
		for range 200 {
			q.try("many", Attempt{Source: "192.0.2.0/24"})
		}
		for _, other := range []string{"a", "b", "b"} {
			q.try(other, Attempt{Source: other})
		}
		order := q.served()
		if len(order) != 203 {
			t.Fatalf("%d were served", len(order))
		}
		if got := order[:7]; !slices.Equal(got, []string{"many", "a", "b", "many", "b", "many", "many"}) {
			t.Errorf("turns went to %v", got)
		}
	})
}

// TestLastFirst: where very many sources wait, a first login from another one
// has its turn at once, and those before it still get theirs in the end.
func TestLastFirst(t *testing.T) {
	for name, storm := range map[string]Attempt{"suspects": {Suspect: true}, "strangers": {}} {
		t.Run(name, func(t *testing.T) {
			inTurns(t, func(q *line) {
				for i := range 600 {
					storm.Source = fmt.Sprint(i)
					q.try("guess", storm)
				}
				q.try("user", Attempt{Source: "home"})
				order := q.served()
				if at := slices.Index(order, "user"); at < 0 || at > 1 {
					t.Errorf("the user's turn came after %d others", at)
				}
				if len(order) != 601 {
					t.Errorf("%d were served", len(order))
				}
			})
		})
	}
}

// TestSuspectsGetSome: a user who has mistyped is not kept out by a storm of
// those who have not failed yet.
func TestSuspectsGetSome(t *testing.T) {
	inTurns(t, func(q *line) {
		for i := range 100 {
			q.try("guess", Attempt{Source: fmt.Sprint(i)})
		}
		q.try("user", Attempt{Source: "home", Suspect: true})
		if at := slices.Index(q.served(), "user"); at < 0 || at > 4 {
			t.Errorf("the user's turn came after %d others", at)
		}
	})
}

// TestLargeIsNotPassedOver: who needs several slots gets them before those who
// came later, and one that gives up holds nobody up.
func TestLargeIsNotPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q turns
		q.start(4)
		ctx, cancel := context.WithCancel(t.Context())
		take := func(ctx context.Context, n int64, got *bool) {
			go func() { *got = q.acquire(ctx, n, rankStranger, fmt.Sprint(n)) == nil }()
			synctest.Wait()
		}
		var first, large, small bool
		take(ctx, 3, &first)
		take(ctx, 4, &large)
		take(t.Context(), 1, &small)
		if !first || large || small {
			t.Errorf("three slots of four taken, then: four %t, one %t", large, small)
		}
		cancel()
		synctest.Wait()
		if !small {
			t.Error("nobody is in front, and one slot is free")
		}
		q.release(3)
		q.release(1)
		take(t.Context(), 4, &large)
		if !large || q.left() != 0 {
			t.Error("slots are gone")
		}
	})
}
