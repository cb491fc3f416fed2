package spf

import (
	"context"
	"net/netip"
	"strings"
)

// evaluation is one run of check_host() (RFC 7208 §4), with all it leads to.
type evaluation struct {
	checker  *Checker
	ctx      context.Context
	ip       netip.Addr
	helo     string
	local    string // of the sender
	domain   string // of the sender
	identity Identity
	toTheEnd bool // a Bill is wanted, not a result

	bill       Bill
	void       bool // the DNS had nothing for the term at hand
	names      []string
	namesKnown bool
}

// decision is what a record says.
type decision struct {
	result    Result
	mechanism string
	record    *Record // the one that decided: behind a redirect the other
	domain    string  // whose it is
}

// most is how many terms may ask the DNS. A Bill goes on where Check would refuse,
// but not without end.
func (e *evaluation) most() int {
	if e.toTheEnd {
		return 5 * MaxLookups
	}
	return MaxLookups
}

// ends reports whether a fault is the end of the evaluation.
func (e *evaluation) ends() bool { return !e.toTheEnd || e.bill.Lookups > e.most() }

// host evaluates the record of a domain. Its depth is bounded by the terms that lead
// to records, and these by most. The record's own terms are counted before any is
// evaluated, so that one too many is found also behind a match; what its includes
// cost is known only when they have been asked for.
func (e *evaluation) host(domain string, depth int) (decision, *fault) {
	r, f := e.record(domain)
	if f != nil || r == nil {
		return decision{}, f
	}
	if !e.toTheEnd && e.bill.Lookups+r.lookups > e.most() {
		return decision{}, permanent(domain, "", ErrLookups)
	}
	for i := range r.Terms {
		t := &r.Terms[i]
		if t.Qualifier == None {
			continue // a modifier
		}
		matched, f := e.step(t, domain, depth)
		if f != nil && e.ends() {
			return decision{}, f
		}
		if matched && (!e.toTheEnd || t.Kind == All) {
			return decision{t.Qualifier, t.Text, r, domain}, nil
		}
	}
	if r.redirect >= 0 {
		return e.redirect(&r.Terms[r.redirect], domain, depth)
	}
	return decision{Neutral, "default", r, domain}, nil
}

// record asks for the record of a domain (§4.4, §4.5); nil if it has none.
func (e *evaluation) record(domain string) (*Record, *fault) {
	list, err := e.txt(domain)
	if err != nil {
		return nil, temporary(domain, "", err)
	}
	text, found := "", false
	for _, s := range list {
		if !IsRecord(s) {
			continue
		}
		if found {
			return nil, permanent(domain, "", ErrRecords)
		}
		text, found = s, true
	}
	if !found {
		return nil, nil
	}
	r, errs := parse(text)
	if len(errs) > 0 {
		return nil, permanent(domain, "", errs[0])
	}
	return r, nil
}

// redirect evaluates the record that stands for this one (§6.1).
func (e *evaluation) redirect(t *Term, domain string, depth int) (decision, *fault) {
	var d decision
	_, f := e.noted(t, domain, depth, func(target string) (bool, *fault) {
		var f *fault
		d, f = e.host(target, depth+1)
		if f == nil && d.result == None {
			f = permanent(target, t.Text, ErrNoRecord)
		}
		return f == nil, f
	})
	if f != nil && !e.ends() {
		return decision{Neutral, "", nil, domain}, nil // the step says what is wrong
	}
	return d, f
}

// step evaluates one mechanism.
func (e *evaluation) step(t *Term, domain string, depth int) (bool, *fault) {
	return e.noted(t, domain, depth, func(target string) (bool, *fault) {
		if t.Kind == Include {
			return e.include(t, target, depth)
		}
		matched, err := e.matches(t, target)
		if err == nil {
			err = e.ctx.Err() // the names of an address are no names when time is over: that is no answer
		}
		if err == nil {
			return matched, nil
		}
		if err == ErrHosts {
			return false, permanent(domain, t.Text, err)
		}
		return false, temporary(domain, t.Text, err)
	})
}

// noted counts a term and writes down what evaluating it came to. Voids are counted
// by term (§4.6.4): an mx of three names without addresses is one.
func (e *evaluation) noted(t *Term, domain string, depth int, evaluate func(target string) (bool, *fault)) (bool, *fault) {
	before := e.bill
	outer := e.void
	e.void = false
	if e.bill.Steps == nil {
		e.bill.Steps = make([]Step, 0, 4) // as many as most records need
	}
	e.bill.Steps = append(e.bill.Steps, Step{Depth: depth, Domain: domain, Term: t.Text})
	place := len(before.Steps)
	target := domain
	if t.Kind.asksDNS() {
		e.bill.Lookups++
		if t.Domain != "" {
			target = e.expandName(t.Domain, domain)
		}
	}
	var matched bool
	var f *fault
	if e.bill.Lookups > e.most() {
		f = permanent(domain, t.Text, ErrLookups)
	} else {
		matched, f = evaluate(target)
	}
	if e.void {
		e.bill.Voids++
		if e.bill.Voids > MaxVoids && !e.toTheEnd {
			matched, f = false, permanent(domain, t.Text, ErrVoids)
		}
	}
	e.void = outer
	s := &e.bill.Steps[place]
	s.Matched = matched
	s.Lookups, s.Voids, s.Queries = e.bill.Lookups-before.Lookups, e.bill.Voids-before.Voids, e.bill.Queries-before.Queries
	if f != nil {
		s.Err = f.err
	}
	return matched, f
}

// include evaluates another record as a mechanism (§5.2).
func (e *evaluation) include(t *Term, target string, depth int) (bool, *fault) {
	d, f := e.host(target, depth+1)
	if f == nil && d.result == None {
		f = permanent(target, t.Text, ErrNoRecord)
	}
	return f == nil && d.result == Pass, f
}

// matches evaluates the mechanisms that lead to no record (§5). Its errors are
// ErrHosts, and what the DNS did not answer.
func (e *evaluation) matches(t *Term, target string) (bool, error) {
	switch t.Kind {
	case All:
		return true, nil
	case IP4, IP6:
		return t.Prefix.Contains(e.ip), nil
	case A:
		return e.hasAddress(target, t)
	case MX:
		return e.exchanges(target, t)
	case PTR:
		for _, name := range e.validated() {
			if isBelow(name, target) {
				return true, nil
			}
		}
		return false, nil
	case Exists:
		list, err := e.addresses("ip4", target) // whatever the client's family is (§5.7)
		return len(list) > 0, err
	}
	return false, nil
}

func (e *evaluation) hasAddress(name string, t *Term) (bool, error) {
	bits := t.Bits4
	if !e.ip.Is4() {
		bits = t.Bits6
	}
	list, err := e.addresses(e.family(), name)
	return contains(list, e.ip, bits), err
}

// exchanges evaluates mx (§5.4). More than ten names are an error also where an
// early one has the address.
func (e *evaluation) exchanges(domain string, t *Term) (bool, error) {
	list, err := e.mx(domain)
	if err != nil {
		return false, err
	}
	if len(list) > MaxHosts {
		return false, ErrHosts
	}
	for _, mx := range list {
		matched, err := e.hasAddress(strings.TrimSuffix(mx.Host, "."), t)
		if err != nil || matched && !e.toTheEnd {
			return matched, err
		}
	}
	return false, nil
}

// explain finds the text for a fail (§6.2). Whatever goes wrong, the Checker's own
// takes its place.
func (e *evaluation) explain(d decision) string {
	if d.record.explain >= 0 {
		name := e.expandName(d.record.Terms[d.record.explain].Domain, d.domain)
		list, err := e.txt(name)
		if err == nil && len(list) == 1 && len(list[0]) <= MaxRecord {
			if text, ok := e.expandText(list[0], d.domain); ok {
				return text
			}
		}
	}
	if isPrintable(e.checker.Explanation) {
		return e.checker.Explanation
	}
	return ""
}
