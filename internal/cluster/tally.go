package cluster

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// Told is what a server tells the others of a number.
type Told struct {
	Kind, Key string
	// Level is added to the number, which has fallen by Falls in each second since it was told of last, or takes its place.
	Level   float64
	Falls   float64
	Replace bool
	Lives   time.Duration // that anybody needs it, from now on
}

// Heard is a number as all servers have told of it.
type Heard struct {
	Kind, Key string
	Level     float64       // as it was
	Age       time.Duration // when it was told of last
	Old       bool          // it was there before the hearer listened
}

// Mark is up to where a server has heard. The zero value is the beginning.
type Mark int64

// Counts is where servers tell each other of numbers. None of it is a promise.
type Counts interface {
	// Tell adds to the numbers, or replaces them; no number is named twice.
	Tell(ctx context.Context, all []Told) error
	// Hear calls heard for each number that anybody, the caller as well, has told of since a mark, and now and then for others. It returns
	// the next mark.
	Hear(ctx context.Context, since Mark, heard func(Heard)) (Mark, error)
}

const (
	// hearEvery is how old what is known of other servers' counts may be.
	hearEvery = time.Second
	// mostTold bounds what is still to be told, while nobody can be: what is beyond it is known here alone.
	mostTold = 1 << 16
)

// Tally is numbers that this server counts with others. Each is in the memory of whoever needs it, and that is what he goes by; the tally
// tells others of what is added, and him of what others have. While nobody can be told each server counts for itself.
//
// A nil Tally is one of a server that is alone: it takes everything and does nothing.
type Tally struct {
	counts Counts
	log    *slog.Logger
	came   chan struct{}

	mu     sync.Mutex
	heard  map[string]func(Heard) // by kind
	fresh  bool                   // somebody has heard nothing yet
	toTell map[number]Told

	since  Mark // of the one who listens
	old    bool // what is heard now was there before
	silent bool
}

type number struct{ kind, key string }

// NewTally is a tally on counts.
func NewTally(counts Counts, log *slog.Logger) *Tally {
	return &Tally{counts: counts, log: log, heard: make(map[string]func(Heard)), came: make(chan struct{}, 1), toTell: make(map[number]Told)}
}

// On has heard called for each number of a kind that is known, and then for each that was told of, by others or by this server. It must
// return soon.
func (t *Tally) On(kind string, heard func(Heard)) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard[kind], t.fresh = heard, true
}

// Tell tells others, soon. It does not wait, and may be called under any lock.
func (t *Tally) Tell(one Told) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(one)
	select {
	case t.came <- struct{}{}:
	default:
	}
}

// add keeps something to be told. t.mu is held.
func (t *Tally) add(one Told) {
	n := number{one.Kind, one.Key}
	before, there := t.toTell[n]
	switch {
	case !there && len(t.toTell) >= mostTold:
		return
	case there && !one.Replace:
		one.Level, one.Replace, one.Lives = before.Level+one.Level, before.Replace, max(before.Lives, one.Lives)
	}
	t.toTell[n] = one
}

// Run tells and hears until ctx ends.
func (t *Tally) Run(ctx context.Context) {
	if t == nil {
		return
	}
	every := time.NewTicker(hearEvery)
	defer every.Stop()
	for {
		t.exchange(ctx)
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-t.came:
			select { // what comes with it goes along
			case <-time.After(hearEvery / 20):
			case <-ctx.Done():
				return
			}
		}
	}
}

// exchange tells and hears once. It is for the one who runs the tally.
func (t *Tally) exchange(ctx context.Context) {
	err := t.tellAll(ctx)
	if err == nil {
		t.mu.Lock()
		if t.old, t.fresh = t.fresh, false; t.old {
			t.since = 0
		}
		t.mu.Unlock()
		var next Mark
		if next, err = t.counts.Hear(ctx, t.since, t.pass); err == nil {
			t.since = next
		} else if t.old { // once more from the beginning
			t.mu.Lock()
			t.fresh = true
			t.mu.Unlock()
		}
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil && !t.silent {
		t.log.Warn("what servers count together is counted by each alone for now", "err", err)
	} else if err == nil && t.silent {
		t.log.Info("what servers count together is counted by all again")
	}
	t.silent = err != nil
}

func (t *Tally) tellAll(ctx context.Context) error {
	t.mu.Lock()
	all := t.toTell
	t.toTell = make(map[number]Told)
	t.mu.Unlock()
	err := error(nil)
	if len(all) > 0 {
		err = t.counts.Tell(ctx, slices.Collect(maps.Values(all)))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		return nil
	}
	later := t.toTell
	t.toTell = all
	for _, one := range later {
		t.add(one)
	}
	return err
}

// pass tells who wants to hear it of a number, with what was added here and is not told yet.
func (t *Tally) pass(h Heard) {
	t.mu.Lock()
	heard := t.heard[h.Kind]
	if heard == nil || math.IsNaN(h.Level) || math.IsInf(h.Level, 0) {
		t.mu.Unlock()
		return
	}
	if mine, ok := t.toTell[number{h.Kind, h.Key}]; ok {
		h.Level = max(0, h.Level-mine.Falls*h.Age.Seconds()) + mine.Level
		h.Age = 0
		if mine.Replace {
			h.Level = mine.Level
		}
	}
	h.Old = t.old
	t.mu.Unlock()
	heard(h)
}
