package trace

import (
	"strings"
	"time"
)

// Query says which messages are looked for. All that is set must fit.
type Query struct {
	// Term is an id that a client was told, of a session or of a queue entry, an
	// address, or a Message-ID.
	Term string
	// From and To are addresses, or domains where they have no "@". To is also an
	// address or a mailbox that a recipient leads to.
	From, To string
	// Since and Until bound the time of what fits; zero: not at all. All lines of a
	// message that fits are told.
	Since, Until time.Time
	// Limit is how many messages are told at most, those that something happened to last; 100
	// where it is 0.
	Limit int
	// Lines is how many lines of one message are told at most, the last ones; 0: all.
	Lines int
}

// Empty reports whether the query asks for nothing.
func (q *Query) Empty() bool { return q.Term == "" && q.From == "" && q.To == "" }

// Way is what the log says of one message, or of a session that brought none.
type Way struct {
	ID      string   `json:"id,omitempty"` // that the client was told; empty if it got none
	Session string   `json:"session,omitempty"`
	Queue   []string `json:"queue,omitempty"` // its entries
	Lines   []Line   `json:"lines"`
	// There are earlier lines, of too many, or there may be some, where not all of the log was read.
	Earlier bool `json:"earlier,omitempty"`

	began time.Time // about; zero: nobody knows yet
}

// isSummary reports whether a line sums up a session.
func isSummary(l Line) bool { return strings.HasSuffix(l.Event, " session") }

// idOf is the id of a line's message that the client was told; "" if it is about
// none.
func idOf(l Line) string { return l.Facts["id"] }

// entryOf is the queue entry that a line is about.
func entryOf(l Line) string { return l.Facts["queue"] }

// sessionOf is the session of a line. A message's id begins with it.
func sessionOf(l Line) string {
	if session := l.Facts["session"]; session != "" {
		return session
	}
	session, _, _ := strings.Cut(l.Facts["id"], "-")
	return session
}

// fits reports whether a line is about what is looked for.
func (q *Query) fits(l Line) bool {
	if !q.Since.IsZero() && l.Time.Before(q.Since) || !q.Until.IsZero() && l.Time.After(q.Until) {
		return false
	}
	if q.Empty() {
		return idOf(l) != "" // everything within the time
	}
	f := l.Facts
	if q.From != "" {
		if from, has := f["from"]; !has || !sameAddress(q.From, from) {
			return false
		}
	}
	// A sender that is refused has come to no recipient yet.
	if q.To != "" && !q.isTo(l) && !(f["command"] == "MAIL" && q.From != "") {
		return false
	}
	return q.Term == "" || q.named(l)
}

// isTo reports whether a line names the recipient.
func (q *Query) isTo(l Line) bool {
	for _, key := range []string{"to", "mailbox", "next"} {
		for to := range strings.SplitSeq(l.Facts[key], ",") {
			if sameAddress(q.To, to) {
				return true
			}
		}
	}
	return false
}

// named reports whether a line has the term as an id or an address.
func (q *Query) named(l Line) bool {
	f, term := l.Facts, strings.Trim(q.Term, "<>")
	switch term {
	case "":
		return false
	case f["session"], idOf(l), entryOf(l), strings.Trim(f["message_id"], "<>"):
		return true
	}
	if !strings.Contains(term, "@") {
		return false
	}
	other := Query{To: term}
	return sameAddress(term, f["from"]) || sameAddress(term, f["user"]) || other.isTo(l)
}

// sameAddress compares an address, or a domain, with the one of a line.
func sameAddress(want, address string) bool {
	want = strings.Trim(want, "<>")
	if !strings.Contains(want, "@") {
		address = address[strings.LastIndexByte(address, '@')+1:]
	}
	return address != "" && strings.EqualFold(want, address) || want == "" && address == ""
}
