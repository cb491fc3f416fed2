package trace

import (
	"bufio"
	"errors"
	"io"
	"slices"
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
	// Limit is how many messages are told at most, the latest; 100 where it is 0.
	Limit int
}

// Empty reports whether the query asks for nothing.
func (q *Query) Empty() bool { return q.Term == "" && q.From == "" && q.To == "" }

// Way is what the log says of one message, or of a session that brought none.
type Way struct {
	ID      string   `json:"id,omitempty"` // that the client was told; empty if it got none
	Session string   `json:"session,omitempty"`
	Queue   []string `json:"queue,omitempty"` // its entries
	Lines   []Line   `json:"lines"`
}

// maxLine bounds a line of the log, in octets.
const maxLine = 1 << 20

// Find reads the log twice: once for what fits, and once for all that belongs to it.
// open opens it from the beginning.
func Find(open func() (io.ReadCloser, error), q Query) ([]*Way, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	now := time.Now()
	f := &finding{byID: make(map[string]*Way), bySession: make(map[string][]*Way), byQueue: make(map[string]*Way)}
	err := each(open, now, func(l Line) {
		if q.fits(l) {
			f.want(idOf(l), sessionOf(l), q.Limit)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := each(open, now, f.add); err != nil {
		return nil, err
	}
	return f.ways, nil
}

// each calls do with every line of the daemon's.
func each(open func() (io.ReadCloser, error), now time.Time, do func(Line)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	b := bufio.NewReaderSize(r, maxLine)
	for tooLong := false; ; {
		text, err := b.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if l, ok := Parse(string(text), now); ok && !full && !tooLong {
			do(l)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil && !full:
			return err
		}
		tooLong = full
	}
}

// finding is what has been found.
type finding struct {
	ways      []*Way
	byID      map[string]*Way
	bySession map[string][]*Way
	byQueue   map[string]*Way
}

// want notes a message, or a session where there is no message. Of too many it
// forgets the first.
func (f *finding) want(id, session string, limit int) {
	key := id
	if id == "" {
		key = session
	}
	if key == "" || f.byID[key] != nil {
		return
	}
	w := &Way{ID: id, Session: session}
	f.ways, f.byID[key] = append(f.ways, w), w
	f.bySession[session] = append(f.bySession[session], w)
	if len(f.ways) <= limit {
		return
	}
	first := f.ways[0]
	f.ways = f.ways[1:]
	if first.ID != "" {
		delete(f.byID, first.ID)
	} else {
		delete(f.byID, first.Session)
	}
	f.bySession[first.Session] = slices.DeleteFunc(f.bySession[first.Session], func(w *Way) bool { return w == first })
}

// add gives a line to the message it belongs to by its id or queue entry; without
// one to its session, and the session's summary to each of its messages, too.
func (f *finding) add(l Line) {
	id, entry := idOf(l), entryOf(l)
	if w := f.byID[id]; id != "" && w != nil {
		w.Lines = append(w.Lines, l)
		if entry != "" && f.byQueue[entry] == nil {
			f.byQueue[entry] = w
			w.Queue = append(w.Queue, entry)
		}
		return
	}
	if w := f.byQueue[entry]; entry != "" && w != nil {
		w.Lines = append(w.Lines, l)
		return
	}
	if id != "" {
		return
	}
	for _, w := range f.bySession[sessionOf(l)] {
		if w.ID == "" || isSummary(l) {
			w.Lines = append(w.Lines, l)
		}
	}
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
