package acme

import (
	"bytes"
	"context"
	"errors"
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
	// lookEvery is how often it is looked what other servers have got.
	lookEvery = 20 * time.Second
	// busyWait is how often it is looked whether another has done asking.
	busyWait = 3 * time.Second
)

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
	m.more, m.known, m.led = more, known, make(map[string]time.Time)
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

// Run obtains and renews certificates until ctx ends. It asks again for each that fails, and waits longer
// after each failure, which it logs: 2 minutes at first, 6 hours at last, up to a
// half of it less by chance. What fails for one name keeps no other from its certificate. A failure is remembered as well, by all
// servers with one Store: a
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
	if m.o.Store != nil {
		next = lookEvery
	}
	if err := m.refresh(ctx); err != nil {
		return lookEvery
	}
	asked, missing := 0, false
	m.mu.Lock()
	got := len(m.sums) == 0 && len(m.certs) > 0 // by New
	m.mu.Unlock()
	for _, name := range m.names() { // all that there is serves before anybody is asked: that may take minutes for each
		had := m.has(name)
		m.settle(ctx, name)
		got = got || !had && m.has(name)
	}
	for _, name := range m.names() {
		had := m.has(name)
		rest, failed := m.rest(name)
		if rest > 0 {
			next, missing = min(next, rest), missing || failed
			continue
		}
		if !slices.Contains(m.o.Names, name) {
			if wait := m.unled(ctx, name); wait > 0 {
				next = min(next, wait)
				continue
			}
			if asked++; asked > mostAsked {
				m.lookLater(name)
				continue
			}
		}
		err := m.obtain(ctx, name, false)
		switch {
		case ctx.Err() != nil || m.line.isStopped():
			return next
		case errors.Is(err, errBusy):
			next = min(next, busyWait)
			continue
		case err != nil:
			missing = true
		case !had:
			got = true
		}
		if rest, _ = m.rest(name); rest <= 0 { // it could neither be had nor noted
			rest = lookEvery
		}
		next = min(next, rest)
	}
	if got && !missing {
		m.o.Log.Info("certificates are there", "names", m.there())
	}
	return next
}

// unled is how long to wait until it is looked again whether the DNS leads a name here; 0 if it does.
func (m *Manager) unled(ctx context.Context, name string) time.Duration {
	m.mu.Lock()
	wait := time.Until(m.led[name])
	m.mu.Unlock()
	if wait > 0 {
		return wait
	}
	if m.leads(ctx, name) == nil {
		return 0
	}
	m.lookLater(name)
	return dnsWait
}

func (m *Manager) lookLater(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.led[name] = time.Now().Add(dnsWait)
}

// there are the names that have certificates.
func (m *Manager) there() []string {
	return slices.DeleteFunc(m.names(), func(name string) bool { return !m.has(name) })
}

// rest is how long to wait before a name is asked for, and whether that is because it was in vain.
func (m *Manager) rest(name string) (wait time.Duration, failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if e := m.book.Names[name]; e != nil && e.Wait > 0 {
		if at := m.retry(e); at.After(now) {
			return at.Sub(now), m.certs[name] == nil
		}
	}
	if c := m.certs[name]; c != nil {
		return c.renewAt().Sub(now), false
	}
	return 0, false
}

// retry is when something that was asked for in vain is asked for again: a program that was started since does not wait
// for hours, as somebody may have started it because he has mended something. What was asked for at a time to come was so by a clock
// that was wrong, and may be asked for now.
func (m *Manager) retry(e *entry) time.Time {
	switch {
	case e.Asked.After(time.Now().Add(leaseTime)):
		return time.Time{}
	case e.Asked.Before(m.began):
		return e.Asked.Add(afterKill)
	}
	return e.Next
}

// obtain gets the next certificate for a name, from another server, or else from the authority. The error is errBusy while another server
// asks, or where it has just asked in vain, unless anyway is set.
func (m *Manager) obtain(ctx context.Context, name string, anyway bool) error {
	m.asking.Lock()
	defer m.asking.Unlock()
	held, done, err := m.claim(ctx)
	if err != nil {
		if !errors.Is(err, errBusy) {
			m.noteAway(ctx, err)
		}
		return err
	}
	defer done()
	// Another may have been here before.
	text, err := m.store.Get(held, name)
	if err != nil {
		m.noteAway(ctx, err)
		return err
	}
	if c, err := read(name, text); err == nil && time.Now().Before(c.renewAt()) {
		m.use(ctx, name, c)
		m.record(ctx, name, nil)
		return nil
	}
	if wait, _ := m.rest(name); wait > 0 && !anyway {
		return errBusy
	}
	within, cancel := context.WithTimeout(held, orderTime)
	defer cancel()
	text, err = m.order(within, name, m.latest(name, text))
	switch {
	case m.line.isStopped():
		return ErrStopped
	case held.Err() != nil:
		return context.Cause(held)
	case err == nil:
		err = m.got(ctx, name, text)
	}
	m.record(ctx, name, err)
	return err
}

// errDue: it would be asked for again and again.
var errDue = errors.New("acme: the certificate that came is to be renewed already: is the clock right?")

// got takes a certificate that came from the authority.
func (m *Manager) got(ctx context.Context, name string, text []byte) error {
	c, err := read(name, text)
	if err != nil {
		return err
	}
	c.unsaved = true
	m.use(ctx, name, c)
	m.settle(ctx, name)
	if !time.Now().Before(c.renewAt()) {
		return errDue
	}
	return nil
}

// latest is the document whose key the next certificate is to have.
func (m *Manager) latest(name string, kept []byte) []byte {
	if c := m.current(name); c != nil && readKey(kept) == nil {
		return c.text
	}
	return kept
}

// use serves a certificate from now on, of which a copy is kept here first: it may be the last that is heard of the others.
func (m *Manager) use(ctx context.Context, name string, c *certificate) {
	if own, err := m.own.Get(ctx, name); m.o.Store != nil && (err != nil || !bytes.Equal(own, c.text)) {
		if err := m.own.put(name, c.text); err != nil {
			m.o.Log.Warn("no copy of the certificate can be kept here", "name", name, "err", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.certs[name] = c
}

// refresh reads what other servers have done.
func (m *Manager) refresh(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	text, err := m.store.Get(within, bookName)
	if err == nil {
		err = m.bringAccount(within)
	}
	if err != nil {
		for _, name := range m.names() { // what was in force here serves until it is known what is now
			m.useOwn(ctx, name)
		}
		m.noteAway(ctx, err)
		return err
	}
	m.noteAway(ctx, nil)
	m.know(readBook(text))
	return nil
}

// noteAway tells once that the store cannot be had, and once that it can.
func (m *Manager) noteAway(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	before := m.away
	m.away = err != nil
	m.mu.Unlock()
	if err != nil && !before {
		m.o.Log.Warn("it is not known which certificates there are; those in force stay, and none is renewed", "err", err)
	} else if err == nil && before {
		m.o.Log.Info("it is known again which certificates there are")
	}
}

// useOwn serves this server's own copy, where nothing is served yet.
func (m *Manager) useOwn(ctx context.Context, name string) {
	if m.has(name) {
		return
	}
	if text, err := m.own.Get(ctx, name); err == nil {
		if c, err := read(name, text); err == nil {
			m.use(ctx, name, c)
		}
	}
}

// settle takes up what the store has for a name if that has changed, and brings there what it does not have: a certificate that could not
// be kept when it came, or one of a server that was alone before.
func (m *Manager) settle(ctx context.Context, name string) {
	m.mu.Lock()
	c, last, known := m.certs[name], m.sums[name], m.sums[name] != ""
	now := none
	if e := m.book.Names[name]; e != nil && e.Certificate != "" {
		now = e.Certificate
	}
	m.mu.Unlock()
	if known && last == now && (c == nil || !c.unsaved) {
		return
	}
	if c == nil {
		if own, err := m.own.Get(ctx, name); err == nil {
			c, _ = read(name, own)
		}
	}
	within, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	brought := false
	text, err := m.store.Update(within, name, func(text []byte) ([]byte, error) {
		brought = false
		theirs, err := read(name, text)
		if c == nil || err == nil && !(c.unsaved && c.Leaf.NotAfter.After(theirs.Leaf.NotAfter)) {
			return nil, nil
		}
		brought = true
		return c.text, nil
	})
	if err != nil {
		m.noteAway(ctx, err)
		return
	}
	if theirs, err := read(name, text); err == nil {
		m.use(ctx, name, theirs)
	}
	m.mu.Lock()
	m.sums[name] = now
	m.mu.Unlock()
	if brought { // the others look for it by the book
		m.record(ctx, name, nil)
	}
}

// none is where the book knows of no certificate.
const none = "none"

// record notes what came of asking for a name.
func (m *Manager) record(ctx context.Context, name string, failed error) {
	wait, problem := time.Duration(0), m.line.problem()
	at := time.Now()
	ctx = context.WithoutCancel(ctx)
	jitter := rand.Float64() / 2
	atLeast := asAsked(failed)
	err := m.amend(ctx, func(b *book) error {
		e := b.entry(name)
		if c := m.current(name); c != nil && !c.unsaved {
			e.Certificate = sum(c.text)
		}
		if failed == nil {
			*e = entry{Certificate: e.Certificate}
			return nil
		}
		wait = max(firstWait, min(2*e.Wait, lastWait))
		jittered := wait - time.Duration(jitter*float64(wait))
		e.Asked, e.Wait, e.Problem = at, wait, problem
		e.Next = at.Add(max(jittered, atLeast))
		return nil
	})
	if failed == nil {
		if err != nil {
			m.o.Log.Warn("it cannot be noted which certificate there is", "name", name, "err", err)
		}
		return
	}
	m.line.note("") // it is this name's, and no other's
	if err != nil { // this server at least is patient
		m.mu.Lock()
		e := m.book.entry(name)
		e.Asked, e.Wait, e.Problem = at, max(firstWait, min(2*e.Wait, lastWait)), problem
		e.Next = at.Add(max(e.Wait, atLeast))
		m.mu.Unlock()
		m.o.Log.Warn("a failure to obtain certificates cannot be noted", "err", err)
	}
	again, _ := m.rest(name)
	if m.has(name) {
		m.o.Log.Warn("certificate is not renewed", "name", name, "err", failed, "retry_in", again.Round(time.Second))
		return
	}
	m.o.Log.Warn("certificate is missing", "name", name, "err", failed, "retry_in", again.Round(time.Second))
}
