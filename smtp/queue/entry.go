package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Entry is one message for one or more recipients on other hosts, as it was
// accepted. It does not change once it is in a Spool.
type Entry struct {
	// ID names the entry: 1 to 64 letters, digits, '-' and '_'. Begin makes
	// one where it is empty.
	ID string
	// Queued is when the entry was accepted. Begin sets it where it is zero.
	Queued time.Time
	// From is the return path without angle brackets; empty is the null
	// sender, for which nothing is ever bounced.
	From string
	// To is at least one recipient.
	To []Recipient

	// EnvID and Ret are the sender's ENVID and RET (RFC 3461 §4.3, §4.4), as
	// they cross the wire: ENVID in xtext, RET "FULL", "HDRS" or empty.
	EnvID, Ret string
	// Body is what the message was declared to be.
	Body BodyType
	// SMTPUTF8: a header field or an address needs it (RFC 6531).
	SMTPUTF8 bool
	// RequireTLS: deliver over verified TLS or not at all (RFC 8689).
	RequireTLS bool

	// Class says whose share of the queue the entry takes. Proven: the sender of
	// a Stranger's entry is not forged, as far as can be told; that of an Ordinary
	// one never is.
	Class  Class
	Proven bool

	// NotBefore, where not zero, is when the first attempt may be made
	// (RFC 4865). Giving up and warning count from it.
	NotBefore time.Time

	// Session and User are for the log and the operator: the id of the
	// session that brought the message, and who was authenticated in it.
	Session, User string

	// Size is the message's octets, set when it is committed.
	Size int64
	// Top is how many octets Commit is expected to be given as the message's top,
	// at most. A spool may keep so much room free at the beginning of a large message,
	// and has to write it once more if the top turns out to need more. It is not
	// stored.
	Top int
}

// BodyType is the BODY parameter of RFC 6152 and RFC 3030.
type BodyType string

// The body types. The empty one is SevenBit.
const (
	SevenBit   BodyType = "7BIT"
	EightBit   BodyType = "8BITMIME"
	BinaryMIME BodyType = "BINARYMIME"
)

// Recipient is one address the entry goes to.
type Recipient struct {
	// Address is the forward path without angle brackets: local@domain or
	// local@[literal].
	Address string
	// Notify is the NOTIFY parameter (RFC 3461 §4.1).
	Notify Notify
	// ORcpt is the ORCPT parameter as it crosses the wire: "rfc822;" and xtext.
	ORcpt string
}

// Domain is the part of the address behind its last "@", in lower case.
func (r Recipient) Domain() string { return DomainOf(r.Address) }

// DomainOf returns the domain of an address, in lower case and without a
// trailing dot.
func DomainOf(address string) string {
	_, domain, _ := cutLast(address, "@")
	return strings.TrimSuffix(strings.ToLower(domain), ".")
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Notify says of which events a recipient's sender wants to hear.
type Notify uint8

// The values of NOTIFY. None of them means the default: failure and delay.
const (
	NotifySuccess Notify = 1 << iota
	NotifyFailure
	NotifyDelay
	NotifyNever
)

// Wants says whether a notification of kind is to be sent.
func (n Notify) Wants(kind Notify) bool {
	if n == 0 {
		n = NotifyFailure | NotifyDelay
	}
	return n&NotifyNever == 0 && n&kind != 0
}

// String is the value of the parameter, "SUCCESS,DELAY", or "" for the default.
func (n Notify) String() string {
	if n&NotifyNever != 0 {
		return "NEVER"
	}
	var parts []string
	for i, name := range []string{"SUCCESS", "FAILURE", "DELAY"} {
		if n&(1<<i) != 0 {
			parts = append(parts, name)
		}
	}
	return strings.Join(parts, ",")
}

// ParseNotify reads the value of a NOTIFY parameter (RFC 3461 §4.1): NEVER
// stands alone.
func ParseNotify(s string) (Notify, error) {
	if s == "" {
		return 0, nil
	}
	if strings.EqualFold(s, "NEVER") {
		return NotifyNever, nil
	}
	var n Notify
	for part := range strings.SplitSeq(s, ",") {
		switch strings.ToUpper(part) {
		case "SUCCESS":
			n |= NotifySuccess
		case "FAILURE":
			n |= NotifyFailure
		case "DELAY":
			n |= NotifyDelay
		default:
			return 0, fmt.Errorf("parse NOTIFY %q: unknown value", s)
		}
	}
	return n, nil
}

// proven reports whether From is whoever sent the entry. Only they hear of success,
// get a message back whole, and hear of every failure.
func (e *Entry) proven() bool { return e.Class == Ordinary || e.Proven }

// since is the time from which the entry's age counts.
func (e *Entry) since() time.Time {
	if e.NotBefore.After(e.Queued) {
		return e.NotBefore
	}
	return e.Queued
}

// Clone returns a copy that shares nothing with e.
func (e *Entry) Clone() *Entry {
	c := *e
	c.To = slices.Clone(e.To)
	return &c
}

// Check says what is wrong with an entry that is to be queued.
func (e *Entry) Check() error {
	if !ValidID(e.ID) {
		return fmt.Errorf("check entry: id %q", e.ID)
	}
	if len(e.To) == 0 {
		return errors.New("check entry: no recipient")
	}
	if !plain(e.From) || !plain(e.EnvID) || !plain(e.Session) || !plain(e.User) {
		return errors.New("check entry: control character in the envelope")
	}
	switch e.Body {
	case "", SevenBit, EightBit, BinaryMIME:
	default:
		return fmt.Errorf("check entry: body type %q", e.Body)
	}
	switch e.Ret {
	case "", "FULL", "HDRS":
	default:
		return fmt.Errorf("check entry: RET %q", e.Ret)
	}
	if e.Class >= classes {
		return fmt.Errorf("check entry: %v", e.Class)
	}
	for _, r := range e.To {
		if r.Domain() == "" || !plain(r.Address) || !plain(r.ORcpt) {
			return fmt.Errorf("check entry: recipient %q", r.Address)
		}
	}
	return nil
}

// plain: what could end a line, of a file of ours or of a dialogue, has no
// place in an envelope.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// ValidID says whether id can name an entry.
func ValidID(id string) bool {
	if len(id) < 1 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
