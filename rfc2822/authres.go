package rfc2822

import "strings"

// AuthResults is an Authentication-Results field (RFC 8601 §2.2): what a host
// found out about a message's sender.
type AuthResults struct {
	AuthServID string // the host that vouches, and that it is believed by
	Results    []AuthResult
}

// AuthResult is what one method found.
type AuthResult struct {
	Method  string // "spf", "dkim", "dmarc", "auth", "iprev" …
	Result  string // "pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"
	Comment string // for people; may be ""
	Reason  string // may be ""
	Props   []AuthProp
}

// AuthProp is one property a result rests on, such as smtp.mailfrom=example.com.
type AuthProp struct {
	Type     string // "smtp", "header", "body", "policy"
	Property string
	Value    string
}

// Field writes the field; without results it says "none". Values that are no
// tokens are quoted, and control characters never get through.
func (a AuthResults) Field() Field {
	var b strings.Builder
	b.WriteString("Authentication-Results: " + pvalue(a.AuthServID))
	if len(a.Results) == 0 {
		b.WriteString("; none")
	}
	for _, r := range a.Results {
		b.WriteString(";\r\n\t" + token(r.Method) + "=" + token(r.Result))
		if r.Comment != "" {
			b.WriteString(" (" + commentText(r.Comment, 300) + ")")
		}
		if r.Reason != "" {
			b.WriteString("\r\n\t reason=" + pvalue(r.Reason))
		}
		for _, p := range r.Props {
			b.WriteString("\r\n\t " + token(p.Type) + "." + token(p.Property) + "=" + pvalue(p.Value))
		}
	}
	b.WriteString("\r\n")
	return parseField(b.String())
}

// token keeps what a Keyword or a MIME token may hold.
func token(s string) string {
	s = strings.Map(func(c rune) rune {
		if isToken(c) {
			return c
		}
		return -1
	}, s)
	return orUnknown(s)
}

// pvalue writes a value (RFC 8601 §2.2): a token, an address, or a quoted string.
func pvalue(s string) string {
	if len(s) > 500 {
		s = s[:500]
	}
	plain := s != ""
	for _, c := range s {
		plain = plain && (isToken(c) || c == '@' || c == '/')
	}
	if plain {
		return s
	}
	return quote(s)
}

// quote writes a quoted-string (RFC 5322 §3.2.4); control characters become
// '?', invalid UTF-8 too.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c < ' ' || c == 0x7f || c == 0xfffd:
			b.WriteByte('?')
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isToken: RFC 2045 §5.1.
func isToken(c rune) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?=`, c)
}

// ParseAuthServID returns the host an Authentication-Results value names, so
// that forged fields of our own name can be removed (RFC 8601 §5), and whether
// it could be read.
func ParseAuthServID(value string) (string, bool) {
	value = skipComments(value)
	if strings.HasPrefix(value, `"`) {
		p := newAddressParser(value, false)
		s, err := p.quoted()
		return s, err == nil
	}
	end := strings.IndexAny(value, " \t\r\n;(")
	if end < 0 {
		end = len(value)
	}
	return value[:end], end > 0
}

// skipComments returns s behind the blanks and comments it begins with.
func skipComments(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if !strings.HasPrefix(s, "(") {
			return s
		}
		s = s[commentLen(s):]
	}
}
