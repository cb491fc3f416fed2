package rfc2822

import (
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// ParseAuthResults reads the value of an Authentication-Results field (RFC 8601
// §2.2), folded or not, and reports whether all of it could be read; what stands
// before the first fault is returned in any case. It takes what real hosts write: values with
// '/', ':' and '=' without quotes, a property without a type, and a semicolon at the end.
//
// The result says only what somebody wrote: it is to be believed where the
// AuthServID is one's own host's and strangers' fields of that name were taken away;
// see AuthResultsOf.
func ParseAuthResults(value string) (AuthResults, bool) {
	p := authReader{addressParser: newAddressParser(value, false)}
	a := AuthResults{UTF8: !isASCII(value)}
	if !p.blanks() {
		return a, false
	}
	id, ok := p.value()
	a.AuthServID = id
	if !ok || id == "" || !p.blanks() {
		return a, false
	}
	if c := p.peek(); c >= '0' && c <= '9' {
		if a.Version, ok = p.number(); !ok {
			return a, false
		}
	}
	if !p.blanks() || !p.eat(';') {
		return a, false
	}
	for p.comment = ""; ; p.comment = "" {
		if !p.blanks() {
			return a, false
		}
		if p.pos == len(p.s) {
			return a, len(a.Results) > 0
		}
		if r, ok := p.result(); ok {
			a.Results = append(a.Results, r)
		} else {
			return a, len(a.Results) == 0 && strings.EqualFold(r.Method, "none") && r.Version == 0 && p.pos == len(p.s)
		}
		if p.pos < len(p.s) && !p.eat(';') {
			return a, false
		}
	}
}

// authReader reads the parts of the field. comment, which it shares with the
// addressParser, gathers the comments since the last result.
type authReader struct{ *addressParser }

// blanks skips blanks, line ends and comments, and keeps what the comments say.
func (p authReader) blanks() bool {
	for {
		before := p.comment
		rest := strings.TrimLeft(p.s[p.pos:], " \t\r\n")
		p.pos = len(p.s) - len(rest)
		if !strings.HasPrefix(rest, "(") {
			return true
		}
		if p.skipComment() != nil {
			return false
		}
		p.comment = strings.TrimSpace(before + " " + strings.TrimSpace(unescape(p.comment)))
	}
}

// unescape gives the text of a comment: without folds and the backslashes of quoted-pairs.
func unescape(s string) string {
	if !strings.ContainsAny(s, "\\\r\n") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\r' || s[i] == '\n':
			continue
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// result reads what one method found, to the semicolon behind it or the end.
// Where it reports false, the method alone may have been read.
func (p authReader) result() (r AuthResult, ok bool) {
	r.Method = p.keyword()
	if r.Method == "" || !p.blanks() {
		return r, false
	}
	if p.eat('/') {
		if !p.blanks() {
			return r, false
		}
		if r.Version, ok = p.number(); !ok || !p.blanks() {
			return r, false
		}
	}
	if !p.eat('=') || !p.blanks() {
		return r, false
	}
	if r.Result = p.keyword(); r.Result == "" {
		return r, false
	}
	for {
		if !p.blanks() {
			return r, false
		}
		if p.pos == len(p.s) || p.peek() == ';' {
			r.Comment = p.comment
			return r, true
		}
		if !p.property(&r) {
			return r, false
		}
	}
}

// property reads a reason or one property.
func (p authReader) property(r *AuthResult) bool {
	var prop AuthProp
	prop.Property = p.keyword()
	if prop.Property == "" || !p.blanks() {
		return false
	}
	if p.eat('.') {
		if !p.blanks() {
			return false
		}
		prop.Type, prop.Property = prop.Property, p.keyword()
		if prop.Property == "" || !p.blanks() {
			return false
		}
	}
	if !p.eat('=') || !p.blanks() {
		return false
	}
	var ok bool
	if prop.Value, ok = p.value(); !ok {
		return false
	}
	if prop.Type == "" && strings.EqualFold(prop.Property, "reason") {
		r.Reason = prop.Value
	} else {
		r.Props = append(r.Props, prop)
	}
	return true
}

func (p authReader) keyword() string {
	start := p.pos
	for p.pos < len(p.s) && isKeyword(rune(p.s[p.pos])) {
		p.pos++
	}
	return p.s[start:p.pos]
}

func (p authReader) number() (int, bool) {
	n, err := strconv.Atoi(p.run(" \t\r\n;(/="))
	return n, err == nil && n >= 0 && n < 1e9
}

// value reads a token, a quoted-string or an address, whose local part may be one.
func (p authReader) value() (string, bool) {
	const ends = " \t\r\n;(\""
	if p.peek() != '"' {
		return p.run(ends), true
	}
	start := p.pos
	s, err := p.quoted()
	if err != nil {
		return "", false
	}
	if p.peek() == '@' {
		s = unfold(p.s[start:p.pos]) + p.run(ends)
	}
	return s, true
}

// run reads up to one of the ends.
func (p authReader) run(ends string) string {
	start := p.pos
	if i := strings.IndexAny(p.s[start:], ends); i >= 0 {
		p.pos += i
	} else {
		p.pos = len(p.s)
	}
	return p.s[start:p.pos]
}

// AuthResultsOf reports whether f is an Authentication-Results field that says
// it comes from one of the hosts, so that a host can take away what strangers
// forged in its name (RFC 8601 §5). However the name is spelled, in any case,
// quoted, behind comments, folded, with a version, as A-label or U-label, with a dot at the end, it is
// found; also in a field that is broken, as some reader may take it for whole.
func AuthResultsOf(f Field, hosts ...string) bool {
	if !f.Is("Authentication-Results") {
		return false
	}
	for _, name := range namesIn(f) {
		for _, host := range hosts {
			if name != "" && domains.Canonical(name) == domains.Canonical(host) {
				return true
			}
		}
	}
	return false
}

// namesIn are the hosts that readers of several kinds may find in a field: those
// for whom comments nest and those for whom they do not, and those who decode words before
// they look.
func namesIn(f Field) []string {
	var names []string
	for _, s := range []string{f.Value(), f.Text()} {
		a, _ := ParseAuthResults(s)
		names = append(names, a.AuthServID, serverName(skipComments(s)))
		for strings.HasPrefix(s, "(") {
			_, rest, _ := strings.Cut(s, ")")
			s = strings.TrimLeft(rest, " \t\r\n")
		}
		names = append(names, serverName(s))
	}
	return names
}

// serverName is the name that s begins with, octets without a meaning left out.
func serverName(s string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s) && b.Len() < 1024; i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == ';' || !quoted && (c == '(' || c == ' ' || c == '\t') && b.Len() > 0:
			return b.String()
		case c <= ' ' || c == 0x7f || c == '\\':
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
