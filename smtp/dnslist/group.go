package dnslist

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// The times and numbers of a Group.
const (
	// Wait is how long Check takes at most, however many lists do not answer.
	Wait = 2 * time.Second
	// TestEvery is how old the last test of a list in health may be, and RetryEvery that of one that
	// is out of use.
	TestEvery  = time.Hour
	RetryEvery = 5 * time.Minute
	// ManyErrors in a row, where it should have answered, have a list tested at once.
	ManyErrors = 3
	// testWait is how long one test may take.
	testWait = 10 * time.Second
)

// Group asks several lists at once. It knows which of them can be asked: one that fails its test is out of
// use until a later test passes. Make it with NewGroup. Its methods may be called
// concurrently.
type Group struct {
	members []*member
	changed func(*List, *Error)
}

// Finding is what one list has said about one address or domain.
type Finding struct {
	List    *List
	Subject string       // the address or the domain
	Codes   []netip.Addr // of its entry; empty where there is none
	Err     *Error       // why nothing was said; nil if something was
}

// Listed reports whether the list has an entry.
func (f *Finding) Listed() bool { return f.Err == nil && len(f.Codes) > 0 }

// member is a list and how it is.
type member struct {
	*List

	mu      sync.Mutex
	tested  time.Time     // when its last test ended
	testing chan struct{} // closed when the one under way ends; nil while there is none
	v4, v6  bool          // whether it can be asked for addresses of the family; v4 stands for domains as well
	ill     *Error        // why it is out of use for one or all
	errors  int           // in a row
}

// NewGroup makes a Group of lists, none of which is in use before its first test. changed, if not nil, is told when a
// list goes out of use, and with a nil error when it is in use again. It must not block.
func NewGroup(changed func(*List, *Error), lists ...*List) *Group {
	g := &Group{changed: changed}
	for _, l := range lists {
		g.members = append(g.members, &member{List: l})
	}
	return g
}

// Check asks all lists in use about an address and domains, at the same time, and returns when all have answered or Wait is
// over. There is a finding of each list for each thing that it is asked for; a list out of use has none. A list
// that was never tested is tested first.
func (g *Group) Check(ctx context.Context, r Resolver, a netip.Addr, domains ...string) []Finding {
	ctx, stop := context.WithTimeout(ctx, Wait)
	defer stop()
	var asked sync.WaitGroup
	found := make([][]Finding, len(g.members))
	for i, m := range g.members {
		asked.Go(func() { found[i] = g.askOne(ctx, r, m, a, domains) })
	}
	asked.Wait()
	var all []Finding
	for _, f := range found {
		all = append(all, f...)
	}
	return all
}

func (g *Group) askOne(ctx context.Context, r Resolver, m *member, a netip.Addr, domains []string) (all []Finding) {
	if !m.ready(ctx, g, r, a) {
		return nil
	}
	if !m.Domains {
		codes, err := m.Address(ctx, r, a)
		all = append(all, m.finding(a.String(), codes, err))
	} else {
		all = make([]Finding, len(domains))
		var asked sync.WaitGroup
		for i, d := range domains {
			asked.Go(func() {
				codes, err := m.Domain(ctx, r, d)
				all[i] = m.finding(d, codes, err)
			})
		}
		asked.Wait()
	}
	for i := range all {
		g.noteAnswer(ctx, r, m, all[i].Err)
	}
	return all
}

func (m *member) finding(subject string, codes []netip.Addr, err error) Finding {
	f := Finding{List: m.List, Subject: subject, Codes: codes}
	f.Err, _ = err.(*Error)
	return f
}

// ready reports whether a list can be asked. It waits for the first test.
func (m *member) ready(ctx context.Context, g *Group, r Resolver, a netip.Addr) bool {
	m.mu.Lock()
	if m.tested.IsZero() {
		done := g.begin(ctx, r, m)
		m.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return false
		}
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	if m.Domains || a.Unmap().Is4() {
		return m.v4
	}
	return m.v6
}

// noteAnswer counts errors in a row, and has the list tested at many.
func (g *Group) noteAnswer(ctx context.Context, r Resolver, m *member, err *Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.errors = 0
		return
	case errors.Is(ctx.Err(), context.Canceled): // who asked is gone
		return
	}
	if m.errors++; m.errors >= ManyErrors {
		m.errors = 0
		g.begin(ctx, r, m)
	}
}

// Tend tests the lists whose time has come. It is to be called now and then, each minute say, and returns when the tests are done
// or ctx is.
func (g *Group) Tend(ctx context.Context, r Resolver) {
	var under []chan struct{}
	for _, m := range g.members {
		m.mu.Lock()
		every := TestEvery
		if m.ill != nil {
			every = RetryEvery
		}
		if m.tested.IsZero() || time.Since(m.tested) >= every {
			under = append(under, g.begin(ctx, r, m))
		}
		m.mu.Unlock()
	}
	for _, done := range under {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// Problems are why lists are out of use, in their order.
func (g *Group) Problems() (all []*Error) {
	for _, m := range g.members {
		m.mu.Lock()
		if m.ill != nil {
			all = append(all, m.ill)
		}
		m.mu.Unlock()
	}
	return all
}

// begin has a list tested, unless that is under way. Its lock is held. The test outlives ctx, which may be that of
// a connection that ends.
func (g *Group) begin(ctx context.Context, r Resolver, m *member) chan struct{} {
	if m.testing != nil {
		return m.testing
	}
	done := make(chan struct{})
	m.testing = done
	go func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), testWait)
		defer stop()
		v4, v6, err := m.test(ctx, r)
		m.mu.Lock()
		was := m.ill
		m.v4, m.v6, m.ill, m.errors = v4, v6, err, 0
		m.tested, m.testing = time.Now(), nil
		m.mu.Unlock()
		if g.changed != nil && (err == nil) != (was == nil) {
			g.changed(m.List, err)
		}
		close(done)
	}()
	return done
}

// test is that of RFC 5782 §5: a list has an entry for 127.0.0.2 and none for 127.0.0.1, the same for these mapped into
// IPv6 if it knows such addresses, and for the domain TEST but not for INVALID. A family of which it has no entry for
// tests it does not know, which is no fault while it knows the other.
func (m *member) test(ctx context.Context, r Resolver) (v4, v6 bool, err *Error) {
	if m.Domains {
		err = m.pair(ctx, r, "test", "invalid")
		return err == nil, false, err
	}
	six := make(chan *Error, 1)
	go func() { six <- m.pair(ctx, r, reverse(mapped(2)), reverse(mapped(1))) }()
	errFour := m.pair(ctx, r, "2.0.0.127", "1.0.0.127")
	errSix := <-six
	unknown := func(e *Error) bool { return e != nil && e.Reason == ListsNone }
	switch {
	case errFour != nil && !unknown(errFour):
		err = errFour
	case errSix != nil && !unknown(errSix):
		err = errSix
	case unknown(errFour) && unknown(errSix):
		err = errFour
	}
	return errFour == nil, errSix == nil, err
}

// pair asks for what must be listed and what must not be.
func (m *member) pair(ctx context.Context, r Resolver, listed, unlisted string) *Error {
	type answer struct {
		codes []netip.Addr
		err   error
	}
	never := make(chan answer, 1)
	go func() {
		codes, err := m.ask(ctx, r, unlisted)
		never <- answer{codes, err}
	}()
	codes, err := m.ask(ctx, r, listed)
	other := <-never
	for _, e := range []error{err, other.err} {
		if e, ok := e.(*Error); ok {
			return e
		}
	}
	switch {
	case len(other.codes) > 0:
		return &Error{List: m.String(), Reason: ListsAll, Code: other.codes[0]}
	case len(codes) == 0:
		return &Error{List: m.String(), Reason: ListsNone}
	}
	return nil
}

// mapped is 127.0.0.n as an address of IPv6.
func mapped(n byte) netip.Addr {
	return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 127, 15: n})
}

// Lists are the lists of the Group, in the order they were given.
func (g *Group) Lists() (all []*List) {
	for _, m := range g.members {
		all = append(all, m.List)
	}
	return all
}
