package queue

import (
	"slices"
	"time"
)

// State is how far the delivery of an entry has come. It is small, and
// replaced as a whole.
type State struct {
	// Queued repeats Entry.Queued, so that a scan reads states only.
	Queued time.Time
	// Size repeats Entry.Size; the Spool sets it when the entry is committed.
	Size int64
	// Held: nothing is attempted, and nothing expires, until it is released.
	Held bool
	// Cause says in a few words why it is held; empty where an operator said so.
	Cause string
	// Route, where not empty, is the name of the route all recipients take
	// instead of what their domains would choose.
	Route string
	// To has one element for each of Entry.To, in the same order.
	To []RcptState
}

// RcptState is what is known of one recipient.
type RcptState struct {
	Status Status
	// Attempts counts the attempts written down, the running one included.
	Attempts int
	// Next is when the next attempt may be made. While an attempt runs it is
	// already the time of the one after it.
	Next time.Time
	// Warned: the sender was told of the delay.
	Warned bool
	// Reported: the sender was told how it ended, or need not be.
	Reported bool
	// Expire: give up at the next opportunity, as an operator asked.
	Expire bool
	// Last is the last result, with the time it came. Zero before the first.
	Last Result
}

// Status of a recipient.
type Status string

// The states a recipient can be in.
const (
	Pending   Status = "pending"   // not settled; all others are
	Delivered Status = "delivered" // the next hop has taken responsibility
	Failed    Status = "failed"    // refused for good
	Expired   Status = "expired"   // given up after too long a time
)

// Result is the outcome of one attempt for one recipient.
type Result struct {
	// Time is when it came; the Queue sets it.
	Time time.Time
	// Status is Delivered, Failed, or Pending for "later".
	Status Status
	// Code and Enhanced are those of the reply that decided; Code is 0 where
	// no reply was had and the cause is ours to tell.
	Code     int
	Enhanced string
	// Text is the reply's text or, without one, the cause, in one line.
	Text string
	// Host is the other side as "mx.example.org [192.0.2.1]:25", or empty.
	Host string
	// TLS says what protected the connection: "TLS1.3 verified by mta-sts",
	// or empty.
	TLS string
	// Relayed: the next hop speaks DSN and was told what the sender asked,
	// so that the news of success is its business (RFC 3461 §5.2.1).
	Relayed bool
	// Final: it is in the recipient's mailbox, as with LMTP, and not only on
	// its way. The news of success says so.
	Final bool
	// Unreachable: no message could have been delivered, whatever it is; the
	// queue takes the destination back to one connection at a time.
	Unreachable bool
	// Busy: with Pending, nobody was asked, because as many attempts as may be
	// are under way at the same address. It does not count as an attempt, and
	// comes again in a minute.
	Busy bool
}

// Next is the earliest time at which something is to be done for the entry;
// zero where it is held or settled.
func (s *State) Next() time.Time {
	var next time.Time
	if s.Held {
		return next
	}
	for i := range s.To {
		r := &s.To[i]
		if r.Status != Pending && r.Reported {
			continue
		}
		if next.IsZero() || r.Next.Before(next) {
			next = r.Next
		}
	}
	return next
}

// Settled: nothing is left to be done.
func (s *State) Settled() bool {
	return !slices.ContainsFunc(s.To, func(r RcptState) bool { return r.Status == Pending || !r.Reported })
}

// Clone returns a copy that shares nothing with s.
func (s *State) Clone() *State {
	c := *s
	c.To = slices.Clone(s.To)
	return &c
}

// NewState is the state of an entry just accepted: every recipient due at
// once, or when NotBefore says.
func NewState(e *Entry) *State {
	s := &State{Queued: e.Queued, Held: e.Hold != "", Cause: e.Hold, To: make([]RcptState, len(e.To))}
	for i := range s.To {
		s.To[i] = RcptState{Status: Pending, Next: e.since()}
	}
	return s
}

// unattempted makes recipients due for whom a first attempt was written down
// and not made.
func (s *State) unattempted() {
	for i := range s.To {
		if r := &s.To[i]; r.Status == Pending && r.Attempts == 1 && r.Last.Time.IsZero() {
			r.Attempts, r.Next = 0, s.Queued
		}
	}
}
