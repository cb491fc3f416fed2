package rfc2822

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// Received is a trace field (RFC 5321 §4.4): who gave the message to whom,
// when, and how. Every text in it may come from a stranger; Field lets none of
// it break the grammar.
type Received struct {
	From     string     // the name the client said in HELO or EHLO, or ""
	FromIP   netip.Addr // the client's address, or the zero Addr (a local submission)
	FromRDNS string     // the client's verified name in the DNS, or ""
	By       string     // the name of the host that took the message
	Via      string     // the link, nearly always ""
	With     string     // the protocol, such as "ESMTPS" (RFC 3848)
	TLS      string     // version and cipher, such as "TLS1.3 TLS_AES_128_GCM_SHA256", or ""
	ID       string     // the host's own id for the message, without brackets
	For      string     // the one recipient, without brackets; "" if there are several
	Date     time.Time  // when the message was taken; zero means now
}

// Field writes the trace field, with CRLF and folded between its clauses. A
// HELO name that is neither domain nor address literal is replaced by the
// client's address and shown, made harmless, in a comment; so is an address
// literal if the client's own address is not known, because it would be taken for
// that. An id or a recipient that cannot be written is left out.
func (r Received) Field() Field {
	var b strings.Builder
	b.WriteString("Received: ")
	r.writeFrom(&b)
	b.WriteString("by " + orUnknown(safeDomain(r.By)))
	if v := atomText(r.Via); v != "" {
		b.WriteString(" via " + v)
	}
	if w := atomText(r.With); w != "" {
		b.WriteString(" with " + w)
	}
	if r.TLS != "" {
		b.WriteString(" (" + commentText(r.TLS, 120) + ")")
	}
	if id := safeID(r.ID); id != "" {
		b.WriteString("\r\n\tid " + id)
	}
	if path := safePath(r.For); path != "" {
		b.WriteString("\r\n\tfor <" + path + ">")
	}
	date := r.Date
	if date.IsZero() {
		date = time.Now()
	}
	b.WriteString(";\r\n\t" + FormatDate(date) + "\r\n")
	return parseField(b.String())
}

// String returns the field's octets, ready to stand on top of a message.
func (r Received) String() string { return r.Field().Raw() }

func (r Received) writeFrom(b *strings.Builder) {
	helo, literal := safeDomain(r.From), addressLiteral(r.FromIP)
	if literal == "" && strings.HasPrefix(helo, "[") {
		helo = "" // RFC 5321 §4.4: no address literal without TCP-info
	}
	name := helo
	switch {
	case helo != "":
	case literal != "":
		name = literal
	case r.From != "":
		name = "unknown"
	default:
		return
	}
	b.WriteString("from " + name)
	if literal != "" {
		b.WriteString(" (")
		if isHostName(r.FromRDNS) {
			b.WriteString(r.FromRDNS + " ")
		}
		b.WriteString(literal + ")")
	}
	if helo == "" && r.From != "" {
		b.WriteString("\r\n\t(HELO " + commentText(r.From, 200) + ")")
	}
	b.WriteString("\r\n\t")
}

// addressLiteral writes an address as RFC 5321 §4.1.3 does.
func addressLiteral(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	switch {
	case !ip.IsValid():
		return ""
	case ip.Is4():
		return "[" + ip.String() + "]"
	}
	return "[IPv6:" + ip.String() + "]"
}

// safeDomain returns s if it can stand where the grammar wants a Domain or an
// address literal, and "" if not. Underscores are let through: real hosts have them.
func safeDomain(s string) string {
	if s == "" || len(s) > 255 || !utf8.ValidString(s) {
		return ""
	}
	inner, literal := s, false
	if s[0] == '[' && s[len(s)-1] == ']' && len(s) > 2 {
		inner, literal = s[1:len(s)-1], true
	}
	for _, c := range inner {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '.', c == '_':
		case literal && c == ':':
		case c > 0x9f && !literal: // a U-label
		default:
			return ""
		}
	}
	if inner[0] == '.' {
		return ""
	}
	return s
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// commentText makes s fit for a comment of one line, of at most max octets:
// what is not printable ASCII becomes '?', brackets and backslashes too.
func commentText(s string, max int) string {
	if len(s) > max {
		s = s[:max]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '(' || c == ')' || c == '\\' || c == '"' {
			return '?'
		}
		return c
	}, s)
}

// atomText keeps the characters of an atom (RFC 5322 §3.2.3), of dots and slashes too.
func atomText(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.Map(func(c rune) rune {
		if isAtext(c) && c < 0x80 || c == '.' || c == '/' {
			return c
		}
		return -1
	}, s)
}

// safeID returns an id as the grammar wants it: an atom or, with an @, a msg-id.
func safeID(id string) string {
	inner, ok := strings.CutPrefix(id, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	switch path := safePath(inner); {
	case ok && closed && path == "":
		return ""
	case path != "" && (ok && closed || strings.Contains(id, "@")):
		return "<" + path + ">"
	}
	return atomText(id)
}

// safePath returns an address that can stand between angle brackets, or "".
func safePath(s string) string {
	if len(s) > 600 || !utf8.ValidString(s) {
		return ""
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return ""
		case quoted && c == '\\' && i+1 < len(s):
			i++
			if s[i] < ' ' || s[i] == 0x7f {
				return ""
			}
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '<' || c == '>' || c == ' ' || c == '(' || c == ')' || c == '\\' || c == ',' || c == ';'):
			return ""
		}
	}
	if quoted {
		return ""
	}
	return s
}

// isAtext: RFC 5322 §3.2.3, widened to UTF-8 by RFC 6532 §3.2.
func isAtext(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	case c >= 0x80:
		return c != utf8.RuneError && c > 0x9f
	}
	return c > ' ' && strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", c)
}
