package rfc2822

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// statusWriter writes the groups of fields of a status or disposition part
// (RFC 3464 §2.1): every value is made one clean line first.
type statusWriter struct {
	strings.Builder
	utf8 bool
}

// field writes one field, unless the value is empty.
func (w *statusWriter) field(name, value string) {
	value = strings.Join(strings.Fields(oneLine(value)), " ")
	if value == "" {
		return
	}
	if w.utf8 {
		value = strings.ToValidUTF8(value, "?")
	} else {
		value = asciiOnly(value)
	}
	if len(value) > 2000 {
		value = strings.ToValidUTF8(value[:2000], "")
	}
	f, err := NewField(name, value)
	if err != nil { // a word too long to fold: what fits has to do
		f, _ = NewField(name, strings.ToValidUTF8(value[:min(len(value), 800)], ""))
	}
	w.WriteString(f.Raw())
}

// typed writes a value behind its type, such as "dns; mx.example.com".
func (w *statusWriter) typed(name, kind, value string) {
	if value != "" {
		w.field(name, kind+"; "+value)
	}
}

func (w *statusWriter) date(name string, t time.Time) {
	if !t.IsZero() {
		w.field(name, FormatDate(t))
	}
}

// address writes an address with its type: rfc822, or utf-8 if it is not ASCII
// (RFC 6533 §3), then as it is where the way is clean for it, else encoded.
func (w *statusWriter) address(name, addr string) {
	switch {
	case addr == "":
	case isASCII(addr):
		w.typed(name, "rfc822", addr)
	case w.utf8:
		w.typed(name, "utf-8", addr)
	default:
		w.typed(name, "utf-8", utf8xtext(addr))
	}
}

// original writes an ORCPT value, whose type stands before a semicolon.
func (w *statusWriter) original(orcpt string) {
	kind, addr, ok := strings.Cut(orcpt, ";")
	switch {
	case !ok:
		w.address("Original-Recipient", orcpt)
	case strings.EqualFold(kind, "rfc822") || strings.EqualFold(kind, "utf-8"):
		w.address("Original-Recipient", strings.TrimSpace(addr))
	default:
		w.typed("Original-Recipient", token(kind), strings.TrimSpace(addr))
	}
}

// utf8xtext is utf-8-addr-xtext of RFC 6533 §3.
func utf8xtext(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c <= ' ' || c >= 0x7f || c == '+' || c == '=' || c == '\\' {
			fmt.Fprintf(&b, `\x{%X}`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func asciiOnly(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c >= 0x80 {
			return '?'
		}
		return c
	}, s)
}

// status is the content of the message/delivery-status part.
func (r *Report) status() string {
	w := statusWriter{utf8: r.UTF8}
	w.typed("Reporting-MTA", "dns", orUnknown(r.ReportingMTA))
	w.field("Original-Envelope-Id", r.OriginalEnvelopeID)
	w.typed("Received-From-MTA", "dns", r.ReceivedFromMTA)
	w.date("Arrival-Date", r.ArrivalDate)
	for i := range r.Recipients {
		w.WriteString("\r\n")
		r.Recipients[i].write(&w)
	}
	return w.String()
}

func (s *RecipientStatus) write(w *statusWriter) {
	w.original(s.OriginalRecipient)
	w.address("Final-Recipient", s.FinalRecipient)
	w.field("Action", string(s.action()))
	w.field("Status", s.status())
	w.typed("Remote-MTA", "dns", s.RemoteMTA)
	w.typed("Diagnostic-Code", s.diagnosticType(), s.DiagnosticCode)
	w.date("Last-Attempt-Date", s.LastAttempt)
	w.field("Final-Log-ID", s.FinalLogID)
	if s.action() == Delayed {
		w.date("Will-Retry-Until", s.WillRetryUntil)
	}
}

// diagnosticType is "smtp" for what is a reply of SMTP. Words of our own, where
// there was none, must not pass for one (RFC 3464 §2.3.6).
func (s *RecipientStatus) diagnosticType() string {
	if s.DiagnosticType != "" {
		return token(s.DiagnosticType)
	}
	code, _, _ := strings.Cut(s.DiagnosticCode, " ")
	code, _, _ = strings.Cut(code, "-")
	if len(code) == 3 && strings.Trim(code, "0123456789") == "" {
		return "smtp"
	}
	return "x-local"
}

func (s *RecipientStatus) action() Action {
	switch s.Action {
	case Failed, Delayed, Delivered, Relayed, Expanded:
		return s.Action
	}
	return Failed
}

// status returns an enhanced code (RFC 3463 §2) whose class fits the action.
func (s *RecipientStatus) status() string {
	class := byte('2')
	switch s.action() {
	case Failed:
		class = '5'
	case Delayed:
		class = '4'
	}
	if validStatus(s.Status) && (s.Status[0] == class || class == '5' && s.Status[0] == '4') {
		return s.Status // a failure after many temporary errors keeps its 4.x.x
	}
	return string(class) + ".0.0"
}

func validStatus(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || strings.IndexByte("245", parts[0][0]) < 0 {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// text is what people read, written from the recipients.
func (r *Report) text() string {
	if r.Text != "" {
		return r.Text
	}
	var b strings.Builder
	fmt.Fprintf(&b, "This is the mail system at %s.\n", orUnknown(r.ReportingMTA))
	for _, group := range reportTexts {
		said := false
		for i := range r.Recipients {
			s := &r.Recipients[i]
			if s.action() != group.action {
				continue
			}
			if !said {
				b.WriteString("\n" + group.text + "\n")
				said = true
			}
			s.explain(&b)
		}
	}
	return b.String()
}

var reportTexts = []struct {
	action        Action
	text, subject string
}{
	{Failed, "Your message could not be delivered to the following recipients.\nNo further attempt will be made.", "Undelivered mail returned to sender"},
	{Delayed, "Your message could not yet be delivered to the following recipients.\nIt is still being tried; you need not send it again.", "Delayed mail (still being tried)"},
	{Delivered, "Your message was delivered to the following recipients.", "Successful mail delivery"},
	{Relayed, "Your message was handed on to a host that does not report success.\nUnless you hear of a failure, it has arrived.", "Mail handed on"},
	{Expanded, "Your message was handed on to all members of the following lists.", "Mail delivered to a list"},
}

func (s *RecipientStatus) explain(b *strings.Builder) {
	fmt.Fprintf(b, "\n  <%s>\n", quoted(s.FinalRecipient))
	if _, addr, ok := strings.Cut(s.OriginalRecipient, ";"); ok && !strings.EqualFold(addr, s.FinalRecipient) {
		fmt.Fprintf(b, "    (sent to <%s>)\n", quoted(addr))
	}
	host := "the reason"
	if s.RemoteMTA != "" {
		host = "host " + quoted(s.RemoteMTA) + " said"
	}
	for i, line := range strings.Split(strings.TrimSpace(s.DiagnosticCode), "\n") {
		if line = strings.TrimSpace(quoted(line)); line == "" {
			continue
		}
		if i == 0 {
			fmt.Fprintf(b, "    %s: %s\n", host, line)
		} else {
			fmt.Fprintf(b, "      %s\n", line)
		}
	}
	if s.Advice != "" {
		fmt.Fprintf(b, "    %s\n", quoted(s.Advice))
	}
	if s.action() == Delayed && !s.WillRetryUntil.IsZero() {
		fmt.Fprintf(b, "    It will be tried until %s.\n", FormatDate(s.WillRetryUntil))
	}
}

// quoted is somebody else's text as a person is to read it: one line, and what could
// turn the direction of reading around or hide something is written as an escape.
func quoted(s string) string {
	var b strings.Builder
	for _, c := range oneLine(s) {
		if unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) {
			fmt.Fprintf(&b, "\\u%04x", c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// subject is the Subject of a report that was given none: that of the gravest action.
func (r *Report) subject() string {
	if r.Subject != "" {
		return r.Subject
	}
	for _, group := range reportTexts {
		for i := range r.Recipients {
			if r.Recipients[i].action() == group.action {
				return group.subject
			}
		}
	}
	return "Mail delivery status"
}
