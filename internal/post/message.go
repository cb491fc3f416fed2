package post

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// message is a message on its way in: its header, which is known, the rest, octet for
// octet as it comes, and what will stand on top.
type message struct {
	header *rfc2822.Section
	busy   bool      // the header is cut short for want of room
	body   io.Reader // the message as the client sent it
	top    *top
	looks  inspections
	aside  string      // why it is put aside; empty: it is not
	unsafe bool        // it is so for what it holds
	facts  []slog.Attr // of those who looked, for the log
	junk   bool        // they have marked it
	unsure bool        // who sends it is not who it says, perhaps
	// instead is where it goes in place of its recipients, if they had it so
	instead *Instead
	ended   time.Time // when its last octet had come
	done    func()    // gives back the room that its header takes
}

// errLoop: the message has passed more hosts than any honest one.
var errLoop = &smtp.Reply{Code: 554, Enhanced: "5.4.6", Text: "Too many Received fields: the message goes round in a loop"}

// read looks at the header of the message that e.Data begins with.
func (r *Receiver) read(ctx context.Context, e *smtp.Envelope) (*message, error) {
	m, err := r.long.peek(e.Data, r.trusts(e.Session))
	if err != nil {
		return nil, err
	}
	header := m.header
	if err = r.loops(e, header); err == nil {
		err = r.submitted(e, m)
	}
	if err == nil {
		m.top, err = r.newTop(e, header)
	}
	if err != nil {
		m.done()
		return nil, err
	}
	// Received has told how the message came; what follows is where it goes.
	e.Params.SMTPUTF8 = e.Params.SMTPUTF8 && needsUTF8(e, header)
	r.inspect(ctx, e, m)
	r.unforge(e, m)
	return m, nil
}

// inspect shows the message to the inspectors, and keeps room for what they will find.
func (r *Receiver) inspect(ctx context.Context, e *smtp.Envelope, m *message) {
	asItCame := *m.header
	look := &Look{Envelope: e, Trusted: r.trusts(e.Session), SpeaksFor: r.speaksFor(e), Submission: r.Submission, Header: &asItCame, Busy: m.busy, Completed: m.top.completed}
	for _, i := range r.Inspectors {
		if inspection := i.Inspect(ctx, look); inspection != nil {
			m.looks.all = append(m.looks.all, inspection)
		}
	}
	results, fields := m.looks.most()
	m.top.results, m.top.found = room(results), room(fields)
}

// needsUTF8 reports whether a message needs SMTPUTF8 of those that carry it: its
// header or an address of its envelope holds more than ASCII. Many programs claim it
// for every message if it is offered, against RFC 6531 §3.4; a message that goes by
// the claim would be returned by every host that has no SMTPUTF8.
func needsUTF8(e *smtp.Envelope, header *rfc2822.Section) bool {
	if header.Truncated() || !e.From.IsASCII() {
		return true
	}
	for i := range e.To {
		if !e.To[i].Path.IsASCII() {
			return true
		}
	}
	return strings.ContainsFunc(header.String(), func(r rune) bool { return r >= utf8.RuneSelf })
}

// unforge takes away what strangers say in the name of this host: whoever reads the message
// here believes Authentication-Results of that name (RFC 8601 §5), and where the settings have it so the fields that mark
// junk. It is the one thing of a stranger's message that does not stay as it came.
func (r *Receiver) unforge(e *smtp.Envelope, m *message) {
	rules := r.rules(e.Session)
	if r.trusts(e.Session) || e.Session.LMTP {
		return
	}
	forged := func(f rfc2822.Field) bool { return rfc2822.AuthResultsOf(f, rules.ServerName) }
	if slices.ContainsFunc(m.header.Named("Authentication-Results"), forged) {
		n := m.takeOut(forged)
		r.Log.Info("results in our name were taken out of a message", "session", e.Session.ID, "id", e.ID, "from", e.From.String(), "fields", n, "remote", remoteOf(e.Session))
	}
	marks := func(f rfc2822.Field) bool { return slices.ContainsFunc(rules.StripFields, f.Is) }
	if slices.ContainsFunc(rules.StripFields, m.header.Has) {
		n := m.takeOut(marks)
		r.Log.Info("marks of a stranger were taken out of a message", "session", e.Session.ID, "id", e.ID, "from", e.From.String(), "fields", n, "remote", remoteOf(e.Session))
	}
}

// takeOut takes fields out of the header, and counts them.
func (m *message) takeOut(is func(rfc2822.Field) bool) int {
	rest := beyond(m.body, m.header.Size())
	n := m.header.RemoveFunc(is)
	m.body = io.MultiReader(strings.NewReader(m.header.String()), rest)
	return n
}

// loops refuses a message that goes round in a loop.
func (r *Receiver) loops(e *smtp.Envelope, header *rfc2822.Section) error {
	rules := r.rules(e.Session)
	if hops := rules.MaxHops; hops > 0 && len(header.Named("Received")) > hops {
		return errLoop
	}
	if forwardLoop(rules.Directory, e, header) {
		return errForwardLoop
	}
	return nil
}

// writeTo writes the message to w and shows it to those who inspect it, once, through
// a buffer that holds as much of it as is ever in memory, and returns its octets. The
// top is complete then.
func (m *message) writeTo(ctx context.Context, w io.Writer, buffer []byte) (int64, error) {
	if len(m.looks.all) > 0 {
		m.looks.header = int64(m.header.Size())
		w = io.MultiWriter(w, &m.looks)
	}
	// The wrappers keep io.CopyBuffer from finding a way around the buffer.
	size, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{m.body}, buffer)
	if err != nil {
		return size, err
	}
	m.ended = time.Now()
	var found Findings
	found, m.looks.failed = m.looks.findings(ctx)
	m.top.results, m.top.found = strings.Join(found.Results, ""), strings.Join(found.Fields, "")
	m.facts, m.aside, m.unsafe, m.junk, m.unsure, m.instead = found.Facts, found.Aside, found.Unsafe, found.Junk, found.Unsure, found.Instead
	return size, nil
}
