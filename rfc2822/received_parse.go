package rfc2822

import (
	"net/netip"
	"strings"
)

// ParseReceived takes the value of a Received field apart into its clauses,
// whatever their order. What other programs write is forgiven: clauses that
// are missing stay empty, and the client's address is looked for wherever they
// put it. It reports whether anything was recognised.
func ParseReceived(value string) (Received, bool) {
	var r Received
	found := false
	keyword, last := "", ""
	body, date := splitDate(unfold(value))
	if t, err := ParseDate(date); err == nil {
		r.Date, found = t, true
	}
	for body != "" {
		token, comment, rest := traceToken(body)
		body = rest
		switch {
		case comment:
			r.comment(last, token)
		case keyword == "" && isTraceKeyword(token):
			keyword = strings.ToLower(token)
		case keyword != "":
			r.set(keyword, token)
			last, keyword, found = keyword, "", true
		}
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

func isTraceKeyword(s string) bool {
	switch strings.ToLower(s) {
	case "from", "by", "via", "with", "id", "for":
		return true
	}
	return false
}

// traceToken takes the first word or comment of s; a comment comes without its
// outer parentheses.
func traceToken(s string) (token string, comment bool, rest string) {
	s = strings.TrimLeft(s, " \t\r\n")
	if s == "" {
		return "", false, ""
	}
	if s[0] == '(' {
		n := commentLen(s)
		return strings.TrimSuffix(s[1:n], ")"), true, s[n:]
	}
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
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '(' && i > 0:
			return s[:i], false, s[i:]
		}
	}
	return s, false, ""
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

func (r *Received) set(keyword, value string) {
	switch keyword {
	case "from":
		r.From = value
		if ip, ok := findIP(value); ok && strings.HasPrefix(value, "[") {
			r.FromIP = ip
		}
	case "by":
		r.By = value
	case "via":
		r.Via = value
	case "with":
		r.With = value
	case "id":
		r.ID = strings.TrimSuffix(value, ";")
	case "for":
		r.For = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(value, ";"), "<"), ">")
	}
}

// comment takes what a comment behind a clause may tell: TCP-info behind from,
// the cipher behind any other.
func (r *Received) comment(after, text string) {
	text = strings.TrimSpace(text)
	if after != "from" {
		upper := strings.ToUpper(text)
		if r.TLS == "" && (strings.Contains(upper, "TLS") || strings.Contains(upper, "CIPHER")) {
			r.TLS = strings.TrimPrefix(text, "using ")
		}
		return
	}
	if helo, ok := strings.CutPrefix(text, "HELO "); ok {
		r.From = helo
		return
	}
	if ip, ok := findIP(text); ok && !r.FromIP.IsValid() {
		r.FromIP = ip
	}
	first, _, _ := strings.Cut(text, " ")
	first = strings.TrimSuffix(first, ".")
	if _, isIP := findIP(first); !isIP && safeDomain(first) != "" && strings.Contains(first, ".") && !strings.Contains(first, "[") && r.FromRDNS == "" {
		r.FromRDNS = first
	}
}

// findIP finds an address in brackets, or one that stands alone.
func findIP(s string) (netip.Addr, bool) {
	if _, inner, ok := strings.Cut(s, "["); ok {
		inner, _, _ = strings.Cut(inner, "]")
		if len(inner) > 5 && strings.EqualFold(inner[:5], "ipv6:") {
			inner = inner[5:]
		}
		ip, err := netip.ParseAddr(inner)
		return ip, err == nil
	}
	for word := range strings.FieldsSeq(s) {
		if ip, err := netip.ParseAddr(strings.Trim(word, ",;")); err == nil {
			return ip, true
		}
	}
	return netip.Addr{}, false
}
