package textual

import (
	"bytes"
	"strings"
)

// Parser takes statements of a configurable form apart. The zero Parser knows
// one argument, the whole statement.
type Parser struct {
	// Prefix and Suffix are removed from the statement where present.
	Prefix, Suffix string
	// OpenBrackets: the brackets around an argument, or around a part of it,
	// are not part of it.
	OpenBrackets bool
	// Brackets holds the opening brackets in its first half and the closing
	// ones, in the same order, in its second: "<>", `"([")]` hold one and
	// three pairs. Separators in brackets do not separate. The same octet may
	// open and close, as quotes do. Brackets do not nest, except that quotes
	// count within the others: <"a>b"@c> is one.
	Brackets []byte
	// ArgumentSeparators are the octets between two arguments. Several in a
	// row count as one.
	ArgumentSeparators []byte
	// Trim removes white space around the statement.
	Trim bool
	// Escape, if not 0, makes the next octet within brackets mean itself. Where
	// OpenBrackets removes the brackets around, it removes the Escape too.
	Escape byte
	// MaxArgs, if above 0, is the most arguments, the name included; the last
	// keeps the rest of the line as it is, with separators and brackets: the
	// password of POP3's PASS may contain spaces (RFC 1939 §7).
	MaxArgs int
	// MaxLen, if above 0, is the longest statement accepted, in octets.
	// Parse ignores what lies behind it.
	MaxLen int
}

// Statement is a statement taken apart.
type Statement struct {
	Raw       string   // as it was given
	Name      string   // the first argument, or ""
	Arguments []string // all of them, Name included
	Offset    []int    // where each begins in Raw, in octets
}

// SMTP is the form of SMTP commands: "MAIL", "FROM:<a@b>", "SIZE=10". The
// quotes and brackets of paths (RFC 5321 §4.1.2) stay where they are.
var SMTP = Parser{
	Brackets:           []byte(`<">"`),
	ArgumentSeparators: []byte(" \t"),
	Escape:             '\\',
	Trim:               true,
}

// POP3 is the form of POP3 commands (RFC 1939 §3): a keyword and at most two
// arguments, without quoting. For PASS, set MaxArgs to 2 in a copy.
var POP3 = Parser{
	ArgumentSeparators: []byte(" "),
	MaxArgs:            3,
}

// Parse takes s apart and makes the best of what is wrong with it: a bracket
// that is never closed reaches to the end.
func (p *Parser) Parse(s string) Statement {
	st, _ := p.parse(s)
	return st
}

// ParseStrict is Parse, but returns ErrTooLong, ErrAffix, ErrUnbalanced or
// ErrTooMany, whichever comes first, together with what Parse returns.
// ErrTooMany says that the last argument of MaxArgs had to keep more than one
// argument; who allows that uses Parse.
func (p *Parser) ParseStrict(s string) (Statement, error) {
	return p.parse(s)
}

func (p *Parser) parse(s string) (Statement, error) {
	st := Statement{Raw: s}
	var fault error
	note := func(err error) {
		if fault == nil {
			fault = err
		}
	}
	if p.MaxLen > 0 && len(s) > p.MaxLen {
		s = s[:p.MaxLen]
		note(ErrTooLong)
	}
	at, s, err := p.strip(s)
	if err != nil {
		note(err)
	}
	for {
		s, at = p.skip(s, at)
		if s == "" {
			break
		}
		n, arg, err := p.argument(s)
		if p.MaxArgs > 0 && len(st.Arguments) == p.MaxArgs-1 && n < len(s) {
			n, arg, err = len(s), s, ErrTooMany
		}
		if err != nil {
			note(err)
		}
		st.Arguments = append(st.Arguments, arg)
		st.Offset = append(st.Offset, at)
		s, at = s[n:], at+n
	}
	if len(st.Arguments) > 0 {
		st.Name = st.Arguments[0]
	}
	return st, fault
}

// strip removes white space, prefix and suffix as p says, and returns where in
// the statement the rest begins.
func (p *Parser) strip(s string) (at int, rest string, err error) {
	rest = s
	if p.Trim {
		rest = strings.TrimLeft(s, " \t\r\n")
		at = len(s) - len(rest)
		rest = strings.TrimRight(rest, " \t\r\n")
	}
	if strings.HasPrefix(rest, p.Prefix) {
		at += len(p.Prefix)
		rest = rest[len(p.Prefix):]
	} else {
		err = ErrAffix
	}
	if strings.HasSuffix(rest, p.Suffix) {
		rest = rest[:len(rest)-len(p.Suffix)]
	} else {
		err = ErrAffix
	}
	return at, rest, err
}

// skip removes separators in front.
func (p *Parser) skip(s string, at int) (string, int) {
	n := 0
	for n < len(s) && bytes.IndexByte(p.ArgumentSeparators, s[n]) >= 0 {
		n++
	}
	return s[n:], at + n
}

// argument measures the argument at the beginning of s and says what it
// stands for, which is s[:n] unless brackets are to be opened.
func (p *Parser) argument(s string) (n int, arg string, err error) {
	half := len(p.Brackets) / 2
	opening, closing := p.Brackets[:half], p.Brackets[half:]
	var opened []byte // the argument without its brackets, once it has any
	from := 0         // s[from:n] is not yet in opened
	within := -1      // the pair we are in
	quoted := -1      // the quotes within that pair
	cut := func(i int) {
		if p.OpenBrackets && quoted < 0 {
			opened = append(opened, s[from:i]...)
			from = i + 1
		}
	}
	for ; n < len(s); n++ {
		c := s[n]
		switch k := bytes.IndexByte(opening, c); {
		case within >= 0 && p.Escape != 0 && c == p.Escape && n+1 < len(s):
			cut(n)
			n++
		case quoted >= 0:
			if c == closing[quoted] {
				quoted = -1
			}
		case within >= 0 && c == closing[within]:
			cut(n)
			within = -1
		case within >= 0:
			if k >= 0 && opening[k] == closing[k] && opening[within] != closing[within] {
				quoted = k
			}
		case k >= 0:
			cut(n)
			within = k
		case bytes.IndexByte(closing, c) >= 0:
			err = ErrUnbalanced
		case bytes.IndexByte(p.ArgumentSeparators, c) >= 0:
			return n, p.value(s, opened, from, n), err
		}
	}
	if within >= 0 {
		err = ErrUnbalanced
	}
	return n, p.value(s, opened, from, n), err
}

// value is the argument: s itself unless something was cut out of it.
func (p *Parser) value(s string, opened []byte, from, n int) string {
	if from == 0 {
		return s[:n]
	}
	return string(append(opened, s[from:n]...))
}
