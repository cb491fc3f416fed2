package database_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postrider-mail/postrider/mailstore/database"
)

// TestGroups: what comes while a group is written is the next, in one and bounded; what was taken in is answered also at the end.
func TestGroups(t *testing.T) {
	t.Parallel()
	ends, end := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	let, got := make(chan struct{}), make(chan []int, 100)
	g := database.Gather(ends, &runs, func(n int) int { return n }, func(group []int) { got <- group; <-let })
	for range 2 { // both who write are busy
		if err := g.Put(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if group := <-got; len(group) != 1 {
			t.Errorf("%v", group)
		}
	}
	var puts sync.WaitGroup
	for range 100 {
		puts.Go(func() {
			if err := g.Put(t.Context(), 1, 2); err != nil {
				t.Error(err)
			}
		})
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := g.Put(gone, 7); !errors.Is(err, context.Canceled) {
		t.Errorf("%v of one whose caller is gone", err)
	}
	close(let)
	puts.Wait()
	end()
	runs.Wait()
	sum, most := 0, 0
	for len(got) > 0 {
		group := <-got
		most = max(most, len(group))
		for _, n := range group {
			sum += n
		}
	}
	if sum != 300 || most < 2 {
		t.Errorf("%d was written, and %d at most together", sum, most)
	}
	if err := g.Put(t.Context(), 9); !errors.Is(err, database.ErrEnded) {
		t.Errorf("%v", err)
	}
}

// TestGroupsBounded: a group ends where it has octets enough.
func TestGroupsBounded(t *testing.T) {
	t.Parallel()
	ends, end := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	let, got := make(chan struct{}, 100), make(chan []int, 100)
	g := database.Gather(ends, &runs, func(int) int { return database.MostOctets }, func(group []int) { got <- group; <-let })
	var puts sync.WaitGroup
	for range 6 {
		puts.Go(func() { g.Put(t.Context(), 1) })
		let <- struct{}{}
	}
	puts.Wait()
	end()
	runs.Wait()
	for len(got) > 0 {
		if group := <-got; len(group) != 1 {
			t.Errorf("%d large ones are together", len(group))
		}
	}
}

// TestAgain: what the database took back is done anew, also what has not begun; and what may have been committed is not.
func TestAgain(t *testing.T) {
	t.Parallel()
	deadlock, broken, refused := &pgconn.PgError{Code: "40P01", SeverityUnlocalized: "ERROR"}, errors.New("unexpected EOF"), &pgconn.PgError{Code: "23505", SeverityUnlocalized: "ERROR"}
	for _, c := range []struct {
		name  string
		begun bool
		err   error
		times int
	}{
		{"deadlock", true, deadlock, database.Attempts},
		{"no connection", false, broken, database.Attempts},
		{"cut in the middle", true, broken, 1},
		{"refused", false, refused, 1},
		{"done", true, nil, 1},
	} {
		times := 0
		begun, err := database.Again(func() (bool, error) { times++; return c.begun, c.err })
		if times != c.times || begun != c.begun || !errors.Is(err, c.err) {
			t.Errorf("%s: %d times, %v, %v", c.name, times, begun, err)
		}
	}
}
