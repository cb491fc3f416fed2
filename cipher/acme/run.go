package acme

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// The waits between two tries of Run for one name. Authorities count failures per hour: Let's
// Encrypt allows five for each name.
const (
	firstWait = 2 * time.Minute
	lastWait  = 6 * time.Hour
	afterKill = 15 * time.Minute
	// dnsWait is how often it is looked whether the DNS leads a name here.
	dnsWait = time.Hour
	// mostAsked bounds the names of SetMore that the authority is asked for within dnsWait: it takes
	// so many orders in a while, and those of the options are not to stand behind them.
	mostAsked = 50
)

// attempt is what came of asking for a certificate in vain.
type attempt struct {
	asked   time.Time
	next    time.Time     // not before
	wait    time.Duration // that led to next
	problem string        // of the authority
}

// SetMore replaces the names beside those of the options that get certificates as soon as the DNS leads them here
// (see Options.Leads). Those that are no names are left out. It may be called at any time.
func (m *Manager) SetMore(names []string) {
	var more []string
	known := make(map[string]bool)
	for _, name := range m.o.Names {
		known[name] = true
	}
	for _, name := range names {
		if ascii, err := checkName(name); err == nil && !known[ascii] {
			more, known[ascii] = append(more, ascii), true
		}
	}
	m.mu.Lock()
	m.more, m.known = more, known
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// names are all there are, those of the options first.
func (m *Manager) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Concat(m.o.Names, m.more)
}

func (m *Manager) knows(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[name]
}

// leads says why the DNS does not lead a name here, as far as that is looked at.
func (m *Manager) leads(ctx context.Context, name string) error {
	if m.o.Leads == nil || slices.Contains(m.o.Names, name) {
		return nil
	}
	return m.o.Leads(ctx, name)
}

// Run obtains certificates until ctx ends. It asks again for each that fails, and waits longer
// after each failure, which it logs: 2 minutes at first, 6 hours at last, up to a
// half of it less by chance. What fails for one name keeps no other from its certificate. A failure is remembered in the folder as well: a
// program that is started over and over asks once in a quarter of an hour.
func (m *Manager) Run(ctx context.Context) {
	for {
		next := m.round(ctx)
		if ctx.Err() != nil || m.line.isStopped() {
			return
		}
		t := time.NewTimer(next)
		select {
		case <-t.C:
		case <-m.changed:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// round asks for what is missing and due, and returns after how long something is due again.
func (m *Manager) round(ctx context.Context) (next time.Duration) {
	next = dnsWait
	asked, missing, got := 0, false, false
	for _, name := range m.names() {
		if m.has(name) {
			continue
		}
		cached := m.cached(ctx, name)
		rest := m.rest(name)
		switch {
		case cached: // the authority need not be asked
		case rest > 0:
			next, missing = min(next, rest), true
			continue
		case m.leads(ctx, name) != nil:
			continue
		case !slices.Contains(m.o.Names, name):
			if asked++; asked > mostAsked {
				continue
			}
		}
		err := m.obtain(ctx, name)
		if ctx.Err() != nil || m.line.isStopped() {
			return next
		}
		if m.conclude(name, err); err != nil {
			next, missing = min(next, m.rest(name)), true
		} else {
			got = true
		}
	}
	if got && !missing {
		m.o.Log.Info("certificates are there", "names", m.there())
	}
	return next
}

// there are the names that have certificates.
func (m *Manager) there() []string {
	return slices.DeleteFunc(m.names(), func(name string) bool { return !m.has(name) })
}

// rest is how long to wait before a name is asked for again.
func (m *Manager) rest(name string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tries[name]; t != nil {
		return time.Until(t.next)
	}
	return 0
}

// conclude notes what came of asking for a name.
func (m *Manager) conclude(name string, err error) {
	m.mu.Lock()
	t := m.tries[name]
	switch {
	case err == nil:
		delete(m.tries, name)
	case t == nil:
		t = &attempt{wait: firstWait}
		m.tries[name] = t
	default:
		t.wait = max(firstWait, min(2*t.wait, lastWait))
	}
	if err != nil {
		jittered := t.wait - rand.N(t.wait/2)
		t.asked = time.Now()
		t.next, t.problem = t.asked.Add(jittered), m.line.problem()
		m.line.note("") // it is this name's, and no other's
		m.o.Log.Warn("certificate is missing", "name", name, "err", err, "retry_in", jittered.Round(time.Second))
	}
	m.mu.Unlock()
	if err != nil || t != nil {
		m.keepFailures()
	}
}
