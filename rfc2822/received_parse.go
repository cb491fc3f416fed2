package rfc2822

import (
	"net/netip"
	"strings"
)

// ParseReceived takes the value of a Received field apart into its clauses,
// whatever their order; of a clause that stands twice the first counts. What other
// programs write is forgiven: clauses that are missing stay empty, and the client's
// address is found wherever they put it: in the comment behind the name (RFC 5321
// §4.4, TCP-info), with or without a port, or as a word behind it.
//
// FromIP is what the host that wrote the field saw. An address that the client
// only named in its HELO or EHLO never becomes FromIP: where a comment follows an
// address literal, the comment counts. It reports whether anything was recognised.
func ParseReceived(value string) (Received, bool) {
	var r Received
	body, date := splitDate(unfold(value))
	date, behind := cutFor(date)
	t, err := ParseDate(date)
	found := err == nil
	r.Date = t
	for _, c := range clauses(body + behind) {
		found = r.take(c) || found
	}
	return r, found
}

// splitDate cuts at the last semicolon that is not in a comment, unless a
// comment is never closed.
func splitDate(s string) (body, date string) {
	cut := -1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ';':
			cut = i
		case '(':
			n, closed := comment(s[i:])
			if !closed {
				cut = strings.LastIndexByte(s, ';')
			}
			i += n - 1
		}
	}
	if cut < 0 {
		return s, ""
	}
	return s[:cut], s[cut+1:]
}

// cutFor cuts off a for clause that stands behind the date.
func cutFor(date string) (before, clause string) {
	if i := strings.Index(date, " for "); i >= 0 && !strings.Contains(date[:i], "(") {
		return date[:i], date[i:]
	}
	return date, ""
}

// clause is a keyword of a trace field with the words and comments behind it.
type clause struct {
	keyword         string // in lower case
	words, comments []string
}

// maxTraceTokens is how many words and comments of a trace field are looked at;
// real ones have fewer than a hundred.
const maxTraceTokens = 1000

// clauses parts a trace field at its keywords; what stands before the first is left out.
func clauses(body string) []clause {
	var out []clause
	tokens := traceTokens(body)
	for i, t := range tokens {
		switch n := len(out) - 1; {
		case t.comment && n >= 0:
			out[n].comments = append(out[n].comments, t.text)
		case t.comment:
		case isTraceKeyword(t.text) && (n < 0 || len(out[n].words) > 0 || beginsClause(tokens[i+1:])):
			out = append(out, clause{keyword: strings.ToLower(t.text)})
		case n >= 0:
			out[n].words = append(out[n].words, t.text)
		}
	}
	return out
}

// beginsClause says of a keyword that stands where a value should, by what comes
// behind it, whether the value was left out: "from by mx.example". A client may also
// be called so: "from by ([192.0.2.1]) by mx.example".
func beginsClause(behind []traceToken) bool {
	return len(behind) > 0 && !behind[0].comment && !isTraceKeyword(behind[0].text)
}

func isTraceKeyword(s string) bool {
	switch strings.ToLower(s) {
	case "from", "by", "via", "with", "id", "for":
		return true
	}
	return false
}

// traceToken is a word or a comment, the latter without its outer parentheses.
type traceToken struct {
	text    string
	comment bool
}

func traceTokens(s string) (out []traceToken) {
	for len(out) < maxTraceTokens {
		s = strings.TrimLeft(s, " \t\r\n")
		switch {
		case s == "":
			return out
		case s[0] == '(':
			n, _ := comment(s)
			out = append(out, traceToken{strings.TrimSuffix(s[1:n], ")"), true})
			s = s[n:]
		default:
			n := traceWord(s)
			out = append(out, traceToken{s[:n], false})
			s = s[n:]
		}
	}
	return out
}

// traceWord is the length of the word s begins with: up to a blank or a comment
// that is not in quotes or brackets.
func traceWord(s string) int {
	quoted, angle := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case angle:
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '(':
			return i
		}
	}
	return len(s)
}

// commentLen is the length of the comment s begins with, parentheses included;
// all of s if it is not closed.
func commentLen(s string) int {
	n, _ := comment(s)
	return n
}

// comment is commentLen, and tells whether the comment is closed.
func comment(s string) (n int, closed bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(s), false
}

// take puts a clause into the field that is its own, unless an earlier one did,
// and reports whether there was anything to take.
func (r *Received) take(c clause) bool {
	if c.keyword == "from" {
		return r.takeFrom(c)
	}
	for _, text := range c.comments {
		r.takeTLS(text)
	}
	if len(c.words) == 0 {
		return false
	}
	first := strings.Trim(c.words[0], ",;")
	set := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	switch c.keyword {
	case "by":
		set(&r.By, first)
	case "via":
		set(&r.Via, words(c))
	case "with":
		set(&r.With, words(c))
	case "id":
		set(&r.ID, strings.TrimSuffix(strings.TrimPrefix(first, "<"), ">"))
	case "for":
		set(&r.For, strings.TrimSuffix(strings.TrimPrefix(first, "<"), ">"))
	}
	return true
}

// words is a value that programs make of several: with Microsoft SMTP Server.
func words(c clause) string { return strings.Trim(strings.Join(c.words, " "), ",;") }

// takeTLS takes what a comment tells of the connection's encryption.
func (r *Received) takeTLS(text string) {
	text = strings.TrimSpace(text)
	upper := strings.ToUpper(text)
	if r.TLS == "" && (strings.Contains(upper, "TLS") || strings.Contains(upper, "CIPHER")) {
		r.TLS = strings.TrimPrefix(text, "using ")
	}
}

// takeFrom reads who the client was: the name it said, and what the host saw.
func (r *Received) takeFrom(c clause) bool {
	if r.From != "" || r.FromIP.IsValid() || len(c.words)+len(c.comments) == 0 {
		return false
	}
	seen, named := "", false // the first word, if a comment has the name the client said
	if len(c.words) > 0 {
		seen = strings.Trim(c.words[0], ",;")
		r.From = seen
	}
	for _, text := range c.comments {
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, "using ") { // Postfix puts it before the by clause
			r.takeTLS(text)
			continue
		}
		text, helo, ok := cutHelo(text)
		if ok && !named {
			r.From, named = helo, true
		}
		r.takeTCPInfo(text)
	}
	if !named {
		if len(c.words) > 1 {
			r.setIP(strings.Join(c.words[1:], " "), true)
		}
		if len(c.comments) == 0 {
			r.setIP(seen, true) // RFC 5321 would have an address literal said in HELO followed by TCP-info
		}
		return true
	}
	r.setIP(seen, false)
	if r.FromRDNS == "" && strings.Contains(seen, ".") && isHostName(seen) {
		r.FromRDNS = seen
	}
	return true
}

// cutHelo parts what a client said of itself, (HELO name) or helo=name, from the
// rest of a comment. All behind it is the client's, or may be.
func cutHelo(s string) (rest, helo string, ok bool) {
	for i := 0; i+5 <= len(s); i++ {
		word := i == 0 || s[i-1] == ' ' || s[i-1] == ','
		if !word || s[i+4] != ' ' && s[i+4] != '=' || !strings.EqualFold(s[i:i+4], "helo") && !strings.EqualFold(s[i:i+4], "ehlo") {
			continue
		}
		helo = strings.TrimSpace(s[i+5:])
		if i > 0 || s[i+4] == '=' {
			helo, _, _ = strings.Cut(helo, " ")
		}
		return strings.TrimRight(s[:i], " ,"), helo, true
	}
	return s, "", false
}

// takeTCPInfo reads a comment that should hold the client's address and its name
// in the DNS.
func (r *Received) takeTCPInfo(text string) {
	text, _, _ = strings.Cut(text, ", claiming to be")
	first, rest, _ := strings.Cut(text, " ")
	if at := strings.LastIndexByte(first, '@'); at >= 0 {
		first = first[at+1:] // the ident protocol's answer is the client's, too
		text = first + " " + rest
	}
	r.setIP(text, false)
	first = strings.TrimSuffix(first, ".")
	full := strings.Contains(first, ".") || strings.HasPrefix(strings.TrimSpace(rest), "[")
	if r.FromRDNS == "" && full && isHostName(first) && !strings.Contains(rest, "may be forged") {
		r.FromRDNS = first
	}
}

// isHostName: a name, not an address, and not what stands where there is no name.
func isHostName(s string) bool {
	return safeDomain(s) != "" && s[0] != '[' && !findIP(s, false).IsValid() && !strings.EqualFold(s, "unknown") && !strings.EqualFold(s, "HELO") && !strings.EqualFold(s, "EHLO")
}

// setIP takes an address for the client's if there is none yet.
func (r *Received) setIP(text string, bracketed bool) {
	if !r.FromIP.IsValid() {
		r.FromIP = findIP(text, bracketed)
	}
}

// findIP finds the last address in brackets, or else, unless it must stand in some,
// the first word that is one.
func findIP(s string, bracketed bool) netip.Addr {
	for text := s; ; {
		open := strings.LastIndexByte(text, '[')
		if open < 0 {
			break
		}
		inner, _, _ := strings.Cut(text[open+1:], "]")
		if len(inner) > 5 && strings.EqualFold(inner[:5], "ipv6:") {
			inner = inner[5:]
		}
		if ip := parseIP(inner); ip.IsValid() {
			return ip
		}
		text = text[:open]
	}
	if bracketed {
		return netip.Addr{}
	}
	for word := range strings.FieldsSeq(s) {
		if ip := parseIP(strings.Trim(word, ",;()")); ip.IsValid() {
			return ip
		}
	}
	return netip.Addr{}
}

// parseIP reads an address, with or without a port, in its one form.
func parseIP(s string) netip.Addr {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		port, _ := netip.ParseAddrPort(s) // the zero one if it is neither
		ip = port.Addr()
	}
	return ip.Unmap().WithZone("")
}
