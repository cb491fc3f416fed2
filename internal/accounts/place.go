package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// place is one place, with what is remembered of its answers.
type place struct {
	name     string
	page     string // where users change their passwords; empty: nobody knows
	settings any
	keeper   keeper
	domains  map[domains.Name]bool
	lasts    time.Duration // what was said
	fast     bool          // it answers at once, and is asked each time
	log      *slog.Logger
	health   health

	mu         sync.Mutex
	known      map[domains.Address]said
	complained map[domains.Address]time.Time
}

// said is what a place said of an address.
type said struct {
	known *Known
	until time.Time
}

const (
	// mostKnown bounds what is remembered of a place; strangers choose the names.
	mostKnown = 10_000
	// nobodyLasts is for how long at most it counts that an address is nobody's: who was just given one wants mail.
	nobodyLasts = 5 * time.Second
)

func (p *place) find(ctx context.Context, address domains.Address) (*Known, error) {
	p.mu.Lock()
	s, ok := p.known[address]
	p.mu.Unlock()
	if ok && time.Now().Before(s.until) {
		return s.known, nil
	}
	var k *Known
	err := p.ask(func() (err error) { k, err = p.keeper.find(ctx, address); return err })
	if err != nil {
		return nil, err
	}
	if k != nil {
		if !p.domains[k.Address.Domain()] {
			err := fmt.Errorf("%s says that %s is %s, whose domain it has nothing to say about", p.name, address, k.Address)
			p.health.answered(p.log, p.name, err, false)
			return nil, err
		}
		k.Place, k.at = p.name, p
	}
	lasts := p.lasts
	if k == nil {
		lasts = min(lasts, nobodyLasts)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.known[address]; !there && len(p.known) >= mostKnown {
		for other := range p.known { // any
			delete(p.known, other)
			break
		}
	}
	p.known[address] = said{k, time.Now().Add(lasts)}
	return k, nil
}

// lately is what was said of an address last, however long ago, and whether anything was.
func (p *place) lately(address domains.Address) (*Known, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, asked := p.known[address]
	return s.known, asked
}

// errAway is what is said without asking while a place is away.
var errAway = errors.New("it was away a moment ago")

// ask asks something, unless the place was away just now.
func (p *place) ask(question func() error) error {
	if !p.health.mayAsk() && !p.fast {
		return fmt.Errorf("%s: %w", p.name, errAway)
	}
	err := question()
	p.health.answered(p.log, p.name, err, err != nil && p.keeper.away(err))
	return err
}

// health is whether something that is asked questions is there. One that does not answer is asked again after a while by one, not
// by everybody who has to wait for it. The zero value works.
type health struct {
	mu            sync.Mutex
	isAway        bool
	since, next   time.Time
	told          time.Time // of an answer that cannot be used
	problem       string
	asked, failed int64
}

// saysAgain is how often it is written down that answers cannot be used.
const saysAgain = time.Minute

// again is how long nobody is asked who was away.
const again = 2 * time.Second

func (h *health) mayAsk() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.isAway && now.Before(h.next) {
		return false
	}
	if h.isAway {
		h.next = now.Add(again) // this one finds out
	}
	h.asked++
	return true
}

// answered notes what came of a question.
func (h *health) answered(log *slog.Logger, name string, err error, away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case away && !h.isAway:
		h.isAway, h.since = true, now
		log.Warn("who keeps accounts is away: nobody of theirs can log in, and their mail is told to come again", "place", name, "err", err)
	case !away && h.isAway:
		h.isAway = false
		log.Info("who keeps accounts is back", "place", name, "after", now.Sub(h.since).Round(time.Second))
	case !away && err != nil && now.Sub(h.told) > saysAgain: // strangers can bring it about
		h.told = now
		log.Warn("an answer of who keeps accounts cannot be used", "place", name, "err", err)
	}
	if away {
		h.next = now.Add(again)
	}
	if h.problem = ""; err != nil {
		h.failed++
		h.problem = err.Error()
	}
}

func (h *health) standing(name string) Standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Standing{Place: name, Away: h.isAway, Problem: h.problem, Asked: h.asked, Failed: h.failed}
	if h.isAway {
		s.Since = h.since
	}
	return s
}
