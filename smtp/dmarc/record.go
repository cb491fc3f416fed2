package dmarc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Policy is what a domain asks for mail that fails (RFC 9989 §4.7).
type Policy string

// The policies. A tag that is not there, or is none of these, is "".
const (
	Nothing    Policy = "none" // the domain asks for nothing
	Quarantine Policy = "quarantine"
	Reject     Policy = "reject"
)

// lowered is a policy in test mode: one step less (t=y).
func (p Policy) lowered() Policy {
	switch p {
	case Reject:
		return Quarantine
	case Quarantine:
		return Nothing
	}
	return p
}

// atLeast returns the stricter one of two policies.
func (p Policy) atLeast(q Policy) Policy {
	if p == Reject || q == Reject {
		return Reject
	}
	if p == Quarantine || q == Quarantine {
		return Quarantine
	}
	if p == "" {
		return q
	}
	return p
}

// PSD says what a record's domain is to those below it.
type PSD byte

// The values of psd. A record without the tag has PSDUnknown.
const (
	PSDUnknown PSD = 'u' // the tree walk decides
	PSDYes     PSD = 'y' // a public suffix: organizations begin one label below
	PSDNo      PSD = 'n' // an organization of its own
)

// MaxRecord is how long a record may be, in octets. A longer one is none.
const MaxRecord = 4096

// Record is a policy record. Tags of RFC 7489 that are history (pct, rf, ri), and
// unknown ones, are passed over.
type Record struct {
	Text       string
	P, SP, NP  Policy // "": not there, or invalid
	PSD        PSD
	Testing    bool   // t=y: apply one step less
	StrictSPF  bool   // aspf=s
	StrictDKIM bool   // adkim=s
	FO         string // when failure reports are wanted, such as "1:d"; "0" by default
	RUA, RUF   []URI  // where aggregate and failure reports are wanted

	// Faults are what is wrong with the record, in the order of its tags. Each
	// tag that has one counts as absent.
	Faults []*SyntaxError

	unusable bool // p is missing or invalid, or sp or np is invalid
}

// SyntaxError is one thing that is wrong with a record.
type SyntaxError struct {
	Offset int    // where in the record, in octets
	Tag    string // its name as written; "" if it has none
	Reason string // for people
}

// Error names place, tag and reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("dmarc: tag %q at octet %d: %s", e.Tag, e.Offset, e.Reason)
}

// ErrNoRecord says that a text, or a domain and all above it, has no DMARC record.
var ErrNoRecord = errors.New("dmarc: no record")

// IsRecord reports whether a TXT record is a DMARC record, a good one or a bad one: its
// first tag is v, whose value is DMARC1 and not dmarc1 (§4.7).
func IsRecord(txt string) bool {
	first, _, _ := strings.Cut(txt, ";")
	name, value, ok := strings.Cut(first, "=")
	return ok && strings.EqualFold(strings.TrimRight(name, " \t"), "v") && strings.Trim(value, " \t") == "DMARC1" && len(txt) <= MaxRecord
}

// Parse reads a record. The error is ErrNoRecord, and the record nil, for what is
// none; a tag that is wrong is no error, but one of the Record's Faults.
func Parse(txt string) (*Record, error) {
	if !IsRecord(txt) {
		return nil, ErrNoRecord
	}
	r := &Record{Text: txt, PSD: PSDUnknown, FO: "0"}
	seen := make([]string, 0, 8) // names of tags, in lower case
	at := 0
	for part := range strings.SplitSeq(txt, ";") {
		seen = r.tag(part, at, seen)
		at += len(part) + 1
	}
	if r.P == "" {
		r.unusable = true
		if !slices.Contains(seen, "p") {
			r.fault(len(txt), "p", "is missing")
		}
	}
	return r, nil
}

func (r *Record) fault(at int, tag, reason string) {
	r.Faults = append(r.Faults, &SyntaxError{at, tag, reason})
}

// tag reads one tag that begins at at; the first one of a name counts.
func (r *Record) tag(part string, at int, seen []string) []string {
	tag := strings.TrimLeft(part, " \t")
	at += len(part) - len(tag)
	tag = strings.TrimRight(tag, " \t")
	if tag == "" {
		return seen
	}
	name, value, ok := strings.Cut(tag, "=")
	name = strings.TrimRight(name, " \t")
	key := strings.ToLower(name)
	switch {
	case !ok:
		r.fault(at, "", "no name and no value")
		return seen
	case slices.Contains(seen, key):
		r.fault(at, name, "stands here a second time")
		return seen
	}
	raw := strings.TrimLeft(value, " \t")
	if reason := r.set(key, strings.ToLower(raw), raw, at+len(tag)-len(raw)); reason != "" {
		r.fault(at, name, reason)
	}
	return append(seen, key)
}

// set takes a tag's value, and says what is wrong with it. Values are in any case.
func (r *Record) set(key, value, raw string, at int) (reason string) {
	switch key {
	case "p":
		return r.policy(&r.P, value)
	case "sp":
		return r.policy(&r.SP, value)
	case "np":
		return r.policy(&r.NP, value)
	case "psd":
		if len(value) != 1 || !strings.Contains("yun", value) {
			return "is neither y nor n nor u"
		}
		r.PSD = PSD(value[0])
	case "t":
		r.Testing, reason = either(value, "y", "n")
	case "adkim":
		r.StrictDKIM, reason = either(value, "s", "r")
	case "aspf":
		r.StrictSPF, reason = either(value, "s", "r")
	case "fo":
		for option := range strings.SplitSeq(value, ":") {
			if option = strings.TrimSpace(option); len(option) != 1 || !strings.Contains("01ds", option) {
				return "has an option that is none of 0, 1, d and s"
			}
		}
		r.FO = value
	case "rua":
		r.RUA = r.uris(raw, at, key)
	case "ruf":
		r.RUF = r.uris(raw, at, key)
	case "pct", "rf", "ri":
		return "is history (RFC 9989 §A): nobody has to read it"
	}
	return reason
}

func (r *Record) policy(p *Policy, value string) string {
	switch q := Policy(value); q {
	case Nothing, Quarantine, Reject:
		*p = q
		return ""
	}
	r.unusable = true
	return "is neither none nor quarantine nor reject"
}

func either(value, yes, no string) (bool, string) {
	if value != yes && value != no {
		return false, "is neither " + yes + " nor " + no
	}
	return value == yes, ""
}

// Applies reports whether the record has anybody do anything: one without a valid p,
// or with an invalid sp or np, counts as p=none if reports are wanted, and as no
// record if not (§4.10.1).
func (r *Record) Applies() bool { return !r.unusable || len(r.RUA) > 0 }

// asked is the policy for mail that fails: of the domain itself, or one below it.
func (r *Record) asked(below, exists bool) Policy {
	switch {
	case r.unusable:
		return Nothing
	case below && !exists && r.NP != "":
		return r.NP
	case below && r.SP != "":
		return r.SP
	}
	return r.P
}
