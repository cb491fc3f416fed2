package rfc2822

import (
	"strings"
	"unicode/utf8"
)

// addressParser reads an address list. strict keeps to RFC 5322; without it
// the parser forgives what is seen in real mail.
type addressParser struct {
	s       string
	pos     int
	strict  bool
	budget  int    // octets that may still be looked at: repair must not cost quadratic time
	colons  bool   // there is one: a group may begin
	comment string // the last comment skipped

	guessed []*AddressError // what was wrong with elements that were read all the same
}

func newAddressParser(s string, strict bool) *addressParser {
	return &addressParser{s: s, strict: strict, budget: 16*len(s) + 256, colons: strings.IndexByte(s, ':') >= 0}
}

func (p *addressParser) fail(at int, reason string) *AddressError {
	return &AddressError{Offset: at, Reason: reason}
}

func (p *addressParser) peek() byte {
	if p.pos < len(p.s) {
		return p.s[p.pos]
	}
	return 0
}

func (p *addressParser) eat(c byte) bool {
	if p.pos < len(p.s) && p.s[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// end wants nothing but blanks and comments before the end.
func (p *addressParser) end() error {
	if err := p.cfws(); err != nil {
		return err
	}
	if p.pos < len(p.s) {
		return p.fail(p.pos, "unexpected "+describe(p.s[p.pos:]))
	}
	return nil
}

func describe(s string) string {
	c, _ := utf8.DecodeRuneInString(s)
	switch {
	case s == "":
		return "end"
	case c < ' ' || c == 0x7f || c == utf8.RuneError:
		return "octet"
	}
	return "'" + string(c) + "'"
}

// cfws skips blanks, folds and comments (RFC 5322 §3.2.2).
func (p *addressParser) cfws() error {
	for p.pos < len(p.s) {
		switch p.s[p.pos] {
		case ' ', '\t':
			p.pos++
		case '\r', '\n':
			if err := p.fold(); err != nil {
				return err
			}
		case '(':
			if err := p.skipComment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// fold skips a line end, which must be CRLF with a blank behind it.
func (p *addressParser) fold() error {
	rest := p.s[p.pos:]
	if !p.strict {
		p.pos++
		return nil
	}
	if !strings.HasPrefix(rest, "\r\n") {
		return p.fail(p.pos, "bare CR or LF")
	}
	if len(rest) < 3 || rest[2] != ' ' && rest[2] != '\t' {
		return p.fail(p.pos, "line end without continuation")
	}
	p.pos += 3
	return nil
}

// skipComment skips a comment, comments within it too.
func (p *addressParser) skipComment() error {
	start, depth := p.pos, 0
	for p.pos < len(p.s) {
		if p.budget--; p.budget < 0 {
			return p.fail(start, "too much to repair")
		}
		c := p.s[p.pos]
		p.pos++
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.comment = p.s[start+1 : p.pos-1]
				return nil
			}
		case '\\':
			if p.strict && (p.peek() >= 0x80 || p.pos == len(p.s)) {
				return p.fail(p.pos-1, "bad escape")
			}
			p.pos = min(p.pos+1, len(p.s))
		case '\r', '\n':
			p.pos--
			if err := p.fold(); err != nil {
				return err
			}
		case 0:
			if p.strict {
				return p.fail(p.pos-1, "NUL")
			}
		}
	}
	p.pos = len(p.s)
	return p.fail(start, "comment is not closed")
}

// atom reads a run of atext.
func (p *addressParser) atom() string {
	start := p.pos
	for p.pos < len(p.s) {
		if c := p.s[p.pos]; c < 0x80 {
			if !asciiAtext[c] {
				break
			}
			p.pos++
			continue
		}
		c, n := utf8.DecodeRuneInString(p.s[p.pos:])
		if !isAtext(c) && (p.strict || n > 1) {
			break
		}
		p.pos += n
	}
	return p.s[start:p.pos]
}

// asciiAtext is isAtext as a table, for the octets that nearly all addresses are made of.
var asciiAtext = func() (t [128]bool) {
	for c := range t {
		t[c] = isAtext(rune(c))
	}
	return t
}()

// quoted reads a quoted-string (RFC 5322 §3.2.4) and returns its content.
func (p *addressParser) quoted() (string, error) {
	start := p.pos
	p.pos++
	var b strings.Builder
	for p.pos < len(p.s) {
		if p.budget--; p.budget < 0 {
			return "", p.fail(start, "too much to repair")
		}
		c := p.s[p.pos]
		switch {
		case c == '"':
			p.pos++
			return b.String(), nil
		case c == '\\' && p.pos+1 < len(p.s):
			c = p.s[p.pos+1]
			if c == 0 || c == '\r' || c == '\n' || p.strict && c >= 0x80 {
				return "", p.fail(p.pos, "bad escape")
			}
			b.WriteByte(c)
			p.pos += 2
		case c == '\r' || c == '\n':
			if err := p.fold(); err != nil {
				return "", err
			}
			if p.strict {
				b.WriteByte(p.s[p.pos-1]) // the blank behind the fold belongs to the text
			}
		case c == 0 || p.strict && c >= 0x80 && !utf8.FullRuneInString(p.s[p.pos:]):
			return "", p.fail(p.pos, "bad octet in quotes")
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
	return "", p.fail(start, "quote is not closed")
}
