package spf

import (
	"errors"
	"fmt"
)

// Result is what an evaluation comes to (RFC 7208 §2.6).
type Result uint8

// The results. String gives them the names that RFC 8601 has for them.
const (
	None      Result = iota // there is no record, or no domain to ask about
	Neutral                 // the domain says nothing about the address
	Pass                    // the address may send in the domain's name
	Fail                    // it may not
	SoftFail                // it probably may not
	TempError               // the DNS did not answer: try again later
	PermError               // the records of the domain cannot be evaluated
)

var resultNames = [...]string{"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}

// String is the result's name in lower case, such as "softfail".
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return fmt.Sprintf("Result(%d)", uint8(r))
}

// Identity says which of a client's words an Outcome is about.
type Identity uint8

// The identities (RFC 7208 §2.3, §2.4).
const (
	MailFrom Identity = iota // the reverse-path of MAIL
	Helo                     // the name in HELO or EHLO, where the reverse-path is null
)

// String is "mailfrom" or "helo", as in smtp.mailfrom of RFC 8601.
func (i Identity) String() string {
	if i == Helo {
		return "helo"
	}
	return "mailfrom"
}

// Outcome is the answer to a Query.
type Outcome struct {
	Result   Result
	Identity Identity
	Domain   string // the domain that was judged, in A-labels, as the client wrote its case; "" if there is none

	// Mechanism is the term that decided, as its record has it, "-all" or
	// "include:_spf.example.net"; "default" if none did, and "" if the result is
	// none or an error. Behind a redirect it is the other record's.
	Mechanism string

	// Explanation is the domain's text for a fail (exp=), or the Checker's. It is
	// printable US-ASCII of at most MaxExplanation octets, whatever was published.
	Explanation string

	// Err says why the result is none, temperror or permerror. It is nil otherwise.
	Err error

	Bill
}

// Bill adds up what an evaluation did.
type Bill struct {
	Lookups int    // terms that count against MaxLookups (§4.6.4)
	Voids   int    // terms that the DNS had nothing for
	Queries int    // calls of the Resolver, those for records and explanation among them
	Steps   []Step // the terms in the order of their evaluation
}

// Step is the evaluation of one term. The terms of a record that an include or a
// redirect led to follow it, one deeper, and are part of its figures.
type Step struct {
	Depth   int    // 0 in the record of the domain that was judged
	Domain  string // whose record the term stands in
	Term    string // as it stands there
	Matched bool
	Lookups int   // what it adds to Bill.Lookups, …
	Voids   int   // … to Voids
	Queries int   // … and to Queries
	Err     error // why it could not be evaluated
}

// The limits of one evaluation (RFC 7208 §4.6.4).
const (
	MaxLookups     = 10   // terms include, a, mx, ptr, exists and redirect
	MaxVoids       = 2    // terms that the DNS has nothing for
	MaxHosts       = 10   // names of one mx; of the names of one address, more are not looked at
	MaxRecord      = 4096 // octets of a record
	MaxExplanation = 1024 // octets of an explanation; a longer one is none
)

// What an Outcome's or a Step's Err can be, besides a SyntaxError and an error of
// the Resolver.
var (
	ErrNoAddress = errors.New("spf: no address to judge")
	ErrBadDomain = errors.New("spf: not a domain name of several labels")
	ErrNoRecord  = errors.New("spf: no record")
	ErrRecords   = errors.New("spf: more than one record")
	ErrTooLong   = errors.New("spf: record too long")
	ErrLookups   = errors.New("spf: more than 10 terms that ask the DNS")
	ErrVoids     = errors.New("spf: more than 2 terms that the DNS has nothing for")
	ErrHosts     = errors.New("spf: more than 10 names of an mx")
)

// Error says where an evaluation ended. It is found with errors.As.
type Error struct {
	Domain string // whose record, or lack of one, is to blame
	Term   string // "" if it is the record as a whole
	Err    error
}

// Error names the domain and the term, quoted: both are strangers' text.
func (e *Error) Error() string {
	if e.Term == "" {
		return fmt.Sprintf("%q: %v", e.Domain, e.Err)
	}
	return fmt.Sprintf("%q: %q: %v", e.Domain, e.Term, e.Err)
}

// Unwrap returns what happened there.
func (e *Error) Unwrap() error { return e.Err }

// fault ends an evaluation, with TempError or PermError.
type fault struct {
	result Result
	err    error
}

func permanent(domain, term string, err error) *fault {
	return &fault{PermError, &Error{domain, term, err}}
}

func temporary(domain, term string, err error) *fault {
	return &fault{TempError, &Error{domain, term, err}}
}
