package queue

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// flood is a spool shared with others in which more is due for one host than is ever looked at.
type flood struct {
	Shared       // the rest is not asked for
	mu           sync.Mutex
	claims, news int
	nothing      bool // less than one was asked for
}

func (f *flood) Claim(_ context.Context, n int) (all []Claimed, err error) {
	time.Sleep(100 * time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nothing = f.nothing || n <= 0
	for range n {
		f.claims++
		e := entry("e"+strconv.Itoa(f.claims), "bob@slow.example")
		e.Queued = time.Now()
		all = append(all, Claimed{Entry: e, State: NewState(e)})
	}
	return all, nil
}

func (f *flood) News(context.Context) (News, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.news++
	return News{}, nil
}

func (f *flood) Release(string, time.Duration, bool) {}
func (f *flood) Nodes() int                          { return 1 }

func (f *flood) Save(context.Context, string, *State) error { return nil }

// endless is a Transport whose attempts take as long as the queue runs.
type endless struct{}

func (endless) Destination(r Recipient, _ string) string { return r.Path.Domain }
func (endless) Deliver(ctx context.Context, d *Delivery) []Result {
	<-ctx.Done()
	return nil
}

// TestFloodIsInterrupted: also while the spool always has more that is due, and this node no place for it, it hears what others want.
func TestFloodIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(flood)
		q := &Queue{Spool: f, Transport: endless{}, Grace: time.Second, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Run(ctx) }()
		time.Sleep(10 * time.Second)
		f.mu.Lock()
		if f.news < 5 || f.claims < 20_000 || f.nothing {
			t.Errorf("%d claimed, and news heard %d times; asked for none: %t", f.claims, f.news, f.nothing)
		}
		f.mu.Unlock()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// last is a spool shared with others that is ending while it claims.
type last struct {
	flood
	end      context.CancelFunc
	released []string
}

func (l *last) Claim(ctx context.Context, n int) ([]Claimed, error) {
	l.end()
	if err := ctx.Err(); err != nil {
		return nil, err // though it is claimed by now
	}
	return l.flood.Claim(ctx, 2)
}

func (l *last) Release(id string, wait time.Duration, fresh bool) {
	l.released = append(l.released, id+" "+wait.String())
}

// TestEndInClaim: what was claimed in the moment in which the queue ends is given back at once. Nobody would know of it until the claim is over.
func TestEndInClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &last{end: cancel}
		if err := (&Queue{Spool: l, Transport: endless{}, Grace: time.Second, Log: slog.New(slog.DiscardHandler)}).Run(ctx); err != nil {
			t.Error(err)
		}
		if got := strings.Join(l.released, ", "); got != "e1 0s, e2 0s" {
			t.Errorf("given back: %s", got)
		}
	})
}

// fleeting is a spool shared with others, of whose entries the first leaves while they are listed.
type fleeting struct{ flood }

func (*fleeting) Look(_ context.Context, _ int, which Which) ([]Looked, error) {
	if which.After.ID != "" {
		return nil, nil
	}
	e, st := &Entry{}, &State{}
	return []Looked{{Place{1, "gone"}, e, st}, {Place{2, "unreadable"}, nil, nil}, {Place{3, "held"}, e, &State{Held: true}}, {Place{4, "here"}, e, st}}, nil
}

func (*fleeting) Ask(_ context.Context, all ...Asked) (int, error) {
	if len(all) != 2 || all[0].ID != "gone" || all[1].ID != "here" {
		return 0, fmt.Errorf("asked for %v", all)
	}
	return 1, nil
}

// TestFlushOfWhatLeaves: that one entry has left meanwhile keeps no other from being due.
func TestFlushOfWhatLeaves(t *testing.T) {
	if n, err := (&Queue{Spool: new(fleeting)}).Flush(t.Context(), ""); n != 1 || err != nil {
		t.Errorf("%d due, %v", n, err)
	}
}
