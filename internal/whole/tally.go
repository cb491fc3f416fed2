package whole

import (
	"context"
	"log/slog"
	"math"
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
	// mostTold bounds what of a kind is still to be told, while nobody can be: what is beyond it is known here alone. Strangers can cause any
	// number of one kind, and leave room for the others.
	mostTold = 1 << 15
	// mostAtOnce is how many are told at a time, which must not take long.
	mostAtOnce = 1 << 12
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
	heard  map[string]func(Heard)     // by kind
	fresh  bool                       // somebody has heard nothing yet
	toTell map[string]map[string]Told // by kind and key

	since  Mark // of the one who listens
	old    bool // what is heard now was there before
	silent bool
}

// NewTally is a tally on counts.
func NewTally(counts Counts, log *slog.Logger) *Tally {
	return &Tally{counts: counts, log: log, heard: make(map[string]func(Heard)), came: make(chan struct{}, 1), toTell: make(map[string]map[string]Told)}
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
	of := t.of(one.Kind)
	before, there := of[one.Key]
	switch {
	case !there && len(of) >= mostTold:
		return
	case there && !one.Replace:
		one.Level, one.Replace, one.Lives = before.Level+one.Level, before.Replace, max(before.Lives, one.Lives)
	}
	of[one.Key] = one
}

// of is what of a kind is to be told. t.mu is held.
func (t *Tally) of(kind string) map[string]Told {
	of := t.toTell[kind]
	if of == nil {
		of = make(map[string]Told)
		t.toTell[kind] = of
	}
	return of
}

// Run tells and hears until ctx ends.
func (t *Tally) Run(ctx context.Context) {
	if t == nil {
		return
	}
	every := time.NewTicker(hearEvery)
	defer every.Stop()
	for {
		t.Exchange(ctx)
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

// Exchange tells and hears once. It is for the one who runs the tally.
func (t *Tally) Exchange(ctx context.Context) {
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

// tellAll tells what there is to tell now, in portions.
func (t *Tally) tellAll(ctx context.Context) error {
	t.mu.Lock()
	left := 0
	for _, of := range t.toTell {
		left += len(of)
	}
	t.mu.Unlock()
	for ; left > 0; left -= mostAtOnce {
		some := t.takeSome()
		if err := t.counts.Tell(ctx, some); err != nil {
			t.putBack(some)
			return err
		}
	}
	return nil
}

// takeSome takes what is to be told next.
func (t *Tally) takeSome() (some []Told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind, of := range t.toTell {
		for key, one := range of {
			if len(some) == mostAtOnce {
				return some
			}
			some = append(some, one)
			delete(of, key)
		}
		delete(t.toTell, kind)
	}
	return some
}

// putBack has it told later, with what came meanwhile.
func (t *Tally) putBack(some []Told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range some {
		of := t.of(one.Kind)
		later, there := of[one.Key]
		if of[one.Key] = one; there { // what was to be told first stays, whatever came since
			t.add(later)
		}
	}
}

// pass tells who wants to hear it of a number, with what was added here and is not told yet.
func (t *Tally) pass(h Heard) {
	t.mu.Lock()
	heard := t.heard[h.Kind]
	if heard == nil || math.IsNaN(h.Level) || math.IsInf(h.Level, 0) {
		t.mu.Unlock()
		return
	}
	if mine, ok := t.toTell[h.Kind][h.Key]; ok {
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
