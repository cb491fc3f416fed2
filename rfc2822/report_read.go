package rfc2822

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseReport reads a delivery status notification (RFC 3464, RFC 6533): who
// reports, and what became of each recipient. It is ErrNotFound if the
// message holds no delivery status; whatever else is wrong with it is no error,
// what cannot be read stays empty. Several status parts count as one.
//
// The status and the text are read up to l.HeaderBytes octets, recipients up to
// l.Parts. Returned holds the header section of the original; to read all of
// it, Walk. The message's stream is read, unless it can be read again.
//
// Everything in a report may be forged: who acts on one should have put
// something into the envelope id or the return path that only the addressee of a
// report can know.
func (m *Message) ParseReport(l Limits) (*Report, error) {
	g, err := m.gatherReport(l, "delivery-status")
	if err != nil {
		return nil, err
	}
	r := &Report{
		From: m.Header.Get("From"), To: m.Header.Get("To"), Subject: DecodeWords(m.Header.Get("Subject")),
		MessageID: m.Header.Get("Message-ID"), Text: g.text, Returned: g.returned, Return: g.ret, UTF8: g.utf8,
	}
	r.Date, _ = ParseDate(m.Header.Get("Date")) // the zero time if there is none
	for _, status := range g.status {
		r.read(status, l.withDefaults().Parts)
	}
	return r, nil
}

// ParseDisposition reads a message disposition notification (RFC 8098, and RFC
// 3798 before it), as ParseReport reads a delivery status.
func (m *Message) ParseDisposition(l Limits) (*Disposition, error) {
	g, err := m.gatherReport(l, "disposition-notification")
	if err != nil {
		return nil, err
	}
	d := &Disposition{
		From: m.Header.Get("From"), To: m.Header.Get("To"), Subject: DecodeWords(m.Header.Get("Subject")),
		MessageID: m.Header.Get("Message-ID"), Text: g.text, Returned: g.returned, Return: g.ret, UTF8: g.utf8,
	}
	d.Date, _ = ParseDate(m.Header.Get("Date"))
	for fields := range statusGroups(g.status[0]) {
		d.read(&fields)
	}
	return d, nil
}

// gathered is what a report is made of.
type gathered struct {
	text     string
	status   []string
	returned *Section
	ret      Return
	utf8     bool
}

// gatherReport finds the parts of a report about kind. A report within a
// message that is returned is none of this message.
func (m *Message) gatherReport(l Limits, kind string) (*gathered, error) {
	g := &gathered{ret: ReturnNothing}
	max := l.withDefaults().HeaderBytes
	err := m.Walk(l, func(_ []int, p *Part) error { return g.part(p, kind, max) })
	var limit Defect
	if err != nil && !errors.As(err, &limit) {
		return nil, err
	}
	if len(g.status) == 0 {
		return nil, ErrNotFound
	}
	return g, nil
}

// maxStatusParts is how many status parts of one report are read.
const maxStatusParts = 10

func (g *gathered) part(p *Part, kind string, max int) error {
	if p.Parent != nil && p.Parent.IsMessage() {
		if g.returned == nil {
			g.returned, g.ret = p.Header, ReturnFull
		}
		return ErrSkip
	}
	var err error
	switch p.MediaType {
	case "message/global-" + kind, "message/" + kind:
		if len(g.status) < maxStatusParts {
			var s string
			s, _, err = readText(p.Decoded(), max)
			g.status = append(g.status, s)
			g.utf8 = g.utf8 || p.MediaType != "message/"+kind
		}
	case "text/rfc822-headers", "message/global-headers":
		if g.returned == nil {
			var s string
			s, _, err = readText(p.Decoded(), max)
			header, _, _ := ParseHeader(s)
			g.returned, g.ret = &header, ReturnHeaders
		}
	case "text/plain":
		if g.text == "" && g.status == nil {
			g.text, _, err = readText(p.Text(), max)
		}
	}
	return err
}

// statusGroups gives the groups of fields of a status (RFC 3464 §2.1), which
// empty lines part. Lines that are no fields are left out.
func statusGroups(s string) func(yield func(Section) bool) {
	return func(yield func(Section) bool) {
		for s != "" {
			line := len(s)
			if i := strings.IndexByte(s, '\n'); i >= 0 {
				line = i + 1
			}
			if !isField([]byte(s[:min(line, hardLine)])) {
				s = s[line:]
				continue
			}
			fields, used, _ := ParseHeader(s)
			if s = s[used:]; !yield(fields) {
				return
			}
		}
	}
}

// read adds what the groups of a status tell. The first is about the message,
// each other about a recipient; but some programs leave out the empty line
// between the two, and others put one into the middle of a recipient's fields.
func (r *Report) read(status string, max int) {
	for fields := range statusGroups(status) {
		switch n := len(r.Recipients); {
		case fields.Has("Final-Recipient") || fields.Has("Original-Recipient"):
			if n >= max {
				return
			}
			r.Recipients = append(r.Recipients, RecipientStatus{})
			r.Recipients[n].read(&fields)
		case n > 0 && r.Recipients[n-1].Action == "" && fields.Has("Action"):
			r.Recipients[n-1].read(&fields)
		}
		r.readMessage(&fields)
	}
	for i := range r.Recipients {
		r.Recipients[i].complete()
	}
}

// readMessage takes the fields about the message (RFC 3464 §2.2).
func (r *Report) readMessage(fields *Section) {
	take(&r.ReportingMTA, typedValue(fields, "Reporting-MTA"))
	take(&r.ReceivedFromMTA, typedValue(fields, "Received-From-MTA"))
	take(&r.OriginalEnvelopeID, fields.Get("Original-Envelope-Id"))
	if t, err := ParseDate(fields.Get("Arrival-Date")); err == nil && r.ArrivalDate.IsZero() {
		r.ArrivalDate = t
	}
}

// squeeze makes one blank of what folding has left.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// take sets what was not set before.
func take(into *string, value string) {
	if *into == "" {
		*into = printable(value)
	}
}

// read takes the fields about a recipient (RFC 3464 §2.3).
func (s *RecipientStatus) read(fields *Section) {
	if kind, addr := typedAddress(fields.Get("Original-Recipient")); addr != "" {
		take(&s.OriginalRecipient, kind+";"+addr)
	}
	_, final := typedAddress(fields.Get("Final-Recipient"))
	take(&s.FinalRecipient, final)
	take((*string)(&s.Action), strings.ToLower(firstWord(fields.Get("Action"))))
	take(&s.Status, firstWord(fields.Get("Status")))
	take(&s.RemoteMTA, typedValue(fields, "Remote-MTA"))
	take(&s.FinalLogID, fields.Get("Final-Log-Id"))
	if kind, text, ok := strings.Cut(fields.Get("Diagnostic-Code"), ";"); ok {
		take(&s.DiagnosticType, strings.ToLower(strings.TrimSpace(kind)))
		take(&s.DiagnosticCode, squeeze(text))
	} else {
		take(&s.DiagnosticCode, squeeze(kind))
	}
	if t, err := ParseDate(fields.Get("Last-Attempt-Date")); err == nil {
		s.LastAttempt = t
	}
	if t, err := ParseDate(fields.Get("Will-Retry-Until")); err == nil {
		s.WillRetryUntil = t
	}
}

// complete draws from what is there what is missing or cannot be read.
func (s *RecipientStatus) complete() {
	if s.FinalRecipient == "" {
		_, s.FinalRecipient, _ = strings.Cut(s.OriginalRecipient, ";")
	}
	if !validStatus(s.Status) {
		s.Status = enhancedCode(s.DiagnosticCode)
	}
	if s.Action == "" && s.Status != "" {
		s.Action = map[byte]Action{'2': Delivered, '4': Delayed, '5': Failed}[s.Status[0]]
	}
}

// enhancedCode finds the first enhanced status code in a reply (RFC 2034), or "".
func enhancedCode(reply string) string {
	for word := range strings.FieldsSeq(reply) {
		word = strings.Trim(word, "()[]#:;,")
		if code, rest, ok := strings.Cut(word, "-"); ok && len(code) == 3 { // 550-5.1.1
			word = rest
		}
		if validStatus(word) {
			return word
		}
	}
	return ""
}

// firstWord cuts a value at a blank or a comment, behind those it begins with.
func firstWord(s string) string {
	s = skipComments(s)
	if i := strings.IndexAny(s, " \t(;"); i >= 0 {
		s = s[:i]
	}
	return s
}

// typedValue is the value of a field such as "dns; mx.example.com" without its
// type and the comments behind it.
func typedValue(fields *Section, name string) string {
	value := fields.Get(name)
	if kind, rest, ok := strings.Cut(value, ";"); ok && isAtom(strings.TrimSpace(kind)) {
		value = rest
	}
	if i := strings.IndexByte(value, '('); i > 0 {
		value = value[:i]
	}
	return strings.TrimSpace(value)
}

// typedAddress takes an address and its type, which is rfc822 if none is
// named. Brackets that do not belong there are left out.
func typedAddress(value string) (kind, addr string) {
	kind, addr, ok := strings.Cut(value, ";")
	if !ok {
		kind, addr = "rfc822", value
	}
	kind, addr = strings.ToLower(strings.TrimSpace(kind)), strings.TrimSpace(addr)
	if inner, ok := strings.CutPrefix(addr, "<"); ok && strings.HasSuffix(inner, ">") {
		addr = strings.TrimSuffix(inner, ">")
	}
	if kind == "utf-8" {
		addr = utf8unxtext(addr)
	}
	return kind, addr
}

// utf8unxtext reads utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 §3):
// \x{E4} is a character.
func utf8unxtext(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		hex, after, closed := strings.Cut(rest[:min(len(rest), 7)], "}")
		n, err := strconv.ParseUint(hex, 16, 32)
		if !closed || err != nil || !utf8.ValidRune(rune(n)) {
			b.WriteString(`\x{`)
			s = rest
			continue
		}
		b.WriteRune(rune(n))
		s = after + rest[min(len(rest), 7):]
	}
}

// read takes the fields of a disposition notification (RFC 8098 §3.2). Failure and
// Warning are what RFC 2298 had beside Error.
func (d *Disposition) read(fields *Section) {
	take(&d.ReportingUA, fields.Get("Reporting-UA"))
	take(&d.OriginalMessageID, fields.Get("Original-Message-ID"))
	if kind, addr := typedAddress(fields.Get("Original-Recipient")); addr != "" {
		take(&d.OriginalRecipient, kind+";"+addr)
	}
	_, final := typedAddress(fields.Get("Final-Recipient"))
	take(&d.FinalRecipient, final)
	for f := range fields.All() {
		if len(d.Errors) < maxParams && (f.Is("Error") || f.Is("Failure") || f.Is("Warning")) {
			d.Errors = append(d.Errors, printable(f.Value()))
		}
	}
	mode, what, ok := strings.Cut(fields.Get("Disposition"), ";")
	if !ok || d.Type != "" {
		return
	}
	action, _, _ := strings.Cut(mode, "/")
	d.Automatic = strings.EqualFold(strings.TrimSpace(action), "automatic-action")
	kind, modifiers, _ := strings.Cut(what, "/")
	take(&d.Type, strings.ToLower(strings.TrimSpace(kind)))
	for m := range strings.SplitSeq(modifiers, ",") {
		if m = strings.TrimSpace(m); m != "" && len(d.Modifiers) < maxParams {
			d.Modifiers = append(d.Modifiers, printable(m))
		}
	}
}
