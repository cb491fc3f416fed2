package rfc2822

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// AuthResults is an Authentication-Results field (RFC 8601 §2.2): what a host
// found out about a message's sender. Every text in it may come from a stranger;
// Field lets none of it break the grammar.
type AuthResults struct {
	AuthServID string // the host that vouches, and that it is believed by
	Version    int    // of the format; 0 where it is not said, which means 1
	Results    []AuthResult
	// UTF8: the message is one of RFC 6532, so that names and addresses may stand in UTF-8
	// (RFC 8616 §5). Without it what is not ASCII becomes '?', because one such octet
	// would make an internationalized message of a plain one.
	UTF8 bool
}

// AuthResult is what one method found.
type AuthResult struct {
	Method  string // "spf", "dkim", "dmarc", "auth", "iprev" …
	Version int    // of the method; 0 where it is not said, which means 1
	Result  string // "pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"
	Comment string // for people, without brackets; may be ""
	Reason  string // may be ""
	Props   []AuthProp
}

// AuthProp is one property a result rests on, such as smtp.mailfrom=example.com.
type AuthProp struct {
	Type     string // "smtp", "header", "body", "policy"
	Property string
	Value    string
}

// Octets of a text that are written at most, so that no line comes near 998.
const (
	maxAuthValue   = 400
	maxAuthComment = 300
	maxAuthKeyword = 60
)

// Field writes the field; without results it says "none". Values that are no
// tokens or addresses are quoted. Control characters become '?', brackets and quotes in comments too; of
// methods, results and properties only letters, digits, '-' and '_' are kept; what
// is empty then is "unknown". What is longer than 400 octets is cut.
func (a AuthResults) Field() Field {
	w := authWriter{utf8: a.UTF8}
	w.b.Grow(64 + 160*len(a.Results))
	w.b.WriteString("Authentication-Results: " + w.word(orUnknown(a.AuthServID)))
	if a.Version > 0 {
		w.b.WriteString(" " + strconv.Itoa(a.Version))
	}
	if len(a.Results) == 0 {
		w.b.WriteString("; none")
	}
	for _, r := range a.Results {
		w.write(";\r\n\t", keyword(r.Method))
		if r.Version > 0 {
			w.write("/", strconv.Itoa(r.Version))
		}
		w.write("=", keyword(r.Result))
		if c := w.comment(r.Comment); c != "" {
			w.write(" (", c, ")")
		}
		if r.Reason != "" {
			w.write("\r\n\t reason=", w.word(r.Reason))
		}
		for _, p := range r.Props {
			w.write("\r\n\t ", keyword(p.Type), ".", keyword(p.Property), "=", w.value(p.Value))
		}
	}
	w.b.WriteString("\r\n")
	return parseField(w.b.String())
}

type authWriter struct {
	b    strings.Builder
	utf8 bool
}

func (w *authWriter) write(texts ...string) {
	for _, s := range texts {
		w.b.WriteString(s)
	}
}

// clean makes s printable, of at most max octets.
func (w *authWriter) clean(s string, max int) string {
	if len(s) <= max && isPrintable(s) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == utf8.RuneError || c == 0x2028 || c == 0x2029 || c >= 0x80 && !w.utf8 {
			c = '?'
		}
		if b.Len()+utf8.RuneLen(c) > max {
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}

// isPrintable reports whether s is printable ASCII, as nearly everything is.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// comment is what stands between the brackets of a comment.
func (w *authWriter) comment(s string) string {
	s = strings.TrimSpace(w.clean(s, maxAuthComment))
	if !strings.ContainsAny(s, `()\"`) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c == '(' || c == ')' || c == '\\' || c == '"' {
			return '?'
		}
		return c
	}, s)
}

// word writes a value of RFC 8601 §2.2: a token or a quoted-string.
func (w *authWriter) word(s string) string {
	s = w.clean(s, maxAuthValue)
	if isTokens(s) {
		return s
	}
	return quote(s)
}

// value writes a pvalue, which may be an address or what follows its @ as well.
func (w *authWriter) value(s string) string {
	s = w.clean(s, maxAuthValue)
	local, domain, ok := strings.Cut(s, "@")
	if ok && (local == "" || isDotAtom(local) && isTokens(local)) && isDotAtom(domain) && safeDomain(domain) != "" && isTokens(domain) {
		return s
	}
	return w.word(s)
}

// keyword keeps what a Keyword may hold (RFC 5321 §4.1.2), and underscores, which
// are in use.
func keyword(s string) string {
	if s != "" && len(s) <= maxAuthKeyword && !strings.ContainsFunc(s, func(c rune) bool { return !isKeyword(c) }) {
		return s // as nearly all are
	}
	s = strings.Map(func(c rune) rune {
		if isKeyword(c) {
			return c
		}
		return -1
	}, s)
	return orUnknown(s[:min(len(s), maxAuthKeyword)])
}

func isKeyword(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func isTokens(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !isToken(c) })
}

// token keeps what a MIME token may hold.
func token(s string) string {
	s = strings.Map(func(c rune) rune {
		if isToken(c) {
			return c
		}
		return -1
	}, s)
	return orUnknown(s)
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
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=':
		return false
	}
	return c > ' ' && c < 0x7f
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
