package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Record is an SPF record that was read.
type Record struct {
	Text  string
	Terms []Term // all that could be read, in their order

	redirect, explain int // places in Terms; -1: there is none
	lookups           int // terms that count against MaxLookups
}

// Lookups returns how many terms of the record itself count against MaxLookups,
// not looking into what they include. What stands behind "all" does not count: it
// is never evaluated.
func (r *Record) Lookups() int { return r.lookups }

// Kind says what a term does.
type Kind uint8

// The mechanisms and modifiers (RFC 7208 §5, §6). All that are not known are
// modifiers of no effect.
const (
	Unknown Kind = iota
	All
	Include
	A
	MX
	PTR
	IP4
	IP6
	Exists
	Redirect
	Explain
)

var kindNames = [...]string{"unknown", "all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists", "redirect", "exp"}

// String is the name of the term in a record; "unknown" if it has no effect.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// asksDNS reports whether terms of the kind count against MaxLookups.
func (k Kind) asksDNS() bool {
	switch k {
	case Include, A, MX, PTR, Exists, Redirect:
		return true
	}
	return false
}

// Term is one mechanism or modifier of a record.
type Term struct {
	Text      string // as it stands in the record
	Offset    int    // where it begins there
	Kind      Kind
	Qualifier Result       // of a mechanism that matches: Pass, Fail, SoftFail or Neutral; None of a modifier
	Domain    string       // the domain-spec, or the text of an unknown modifier, its macros unexpanded; "" if there is none
	Prefix    netip.Prefix // of ip4 and ip6
	Bits4     int          // of a and mx: how many bits of an IPv4 address count, …
	Bits6     int          // … and of an IPv6 address
}

// SyntaxError is one thing that is wrong with a record.
type SyntaxError struct {
	Offset int    // where in the record
	Term   string // the term it stands in
	Reason string // for people
}

// Error names place, term and reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("spf: %q at octet %d: %s", e.Term, e.Offset, e.Reason)
}

// IsRecord reports whether a TXT record is an SPF record, a good one or a bad one:
// it begins with "v=spf1", in capitals or not (§4.5, §12), and a space or the end.
func IsRecord(txt string) bool {
	const version = "v=spf1"
	return len(txt) >= len(version) && strings.EqualFold(txt[:len(version)], version) &&
		(len(txt) == len(version) || txt[len(version)] == ' ')
}

// Parse reads a record, and asks nobody. The record it returns is never nil: it has
// the terms that could be read. The error is nil for a record that can be evaluated;
// otherwise it is ErrNoRecord, ErrTooLong or all SyntaxErrors, joined (errors.Join).
func Parse(text string) (*Record, error) {
	r, errs := parse(text)
	return r, errors.Join(errs...)
}

func parse(text string) (*Record, []error) {
	r := &Record{Text: text, redirect: -1, explain: -1}
	if !IsRecord(text) {
		return r, []error{ErrNoRecord}
	}
	if len(text) > MaxRecord {
		return r, []error{ErrTooLong}
	}
	r.Terms = make([]Term, 0, strings.Count(text, " "))
	var errs []error
	for at := len("v=spf1"); at < len(text); {
		if text[at] == ' ' {
			at++
			continue
		}
		end := at
		for end < len(text) && text[end] != ' ' {
			end++
		}
		t, err := parseTerm(text[at:end])
		t.Offset = at
		if err == nil {
			err = r.add(t)
		}
		if err != nil {
			err.Offset += at
			err.Term = text[at:end]
			errs = append(errs, err)
		}
		at = end
	}
	r.count()
	return r, errs
}

// add takes a term into the record; redirect= and exp= may stand there once (§6).
func (r *Record) add(t Term) *SyntaxError {
	var place *int
	switch t.Kind {
	case Redirect:
		place = &r.redirect
	case Explain:
		place = &r.explain
	}
	if place != nil {
		if *place >= 0 {
			return bad(0, t.Kind.String()+"= stands here a second time")
		}
		*place = len(r.Terms)
	}
	r.Terms = append(r.Terms, t)
	return nil
}

// count finds out how many terms can ask the DNS: with "all", nothing behind it and
// no redirect does (§5.1).
func (r *Record) count() {
	for _, t := range r.Terms {
		if t.Kind == All {
			r.redirect = -1
			return
		}
		if t.Kind.asksDNS() && t.Kind != Redirect {
			r.lookups++
		}
	}
	if r.redirect >= 0 {
		r.lookups++
	}
}
