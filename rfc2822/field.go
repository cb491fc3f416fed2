package rfc2822

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of writing. Callers compare with errors.Is.
var (
	// ErrBadName: not a field name (RFC 5322 §3.6.8: printable ASCII without colon or blank).
	ErrBadName = errors.New("rfc2822: bad header field name")
	// ErrBadValue: a field value with CR, LF or NUL, which would break out of its field.
	ErrBadValue = errors.New("rfc2822: CR, LF or NUL in a header field value")
	// ErrLongLine: a value without a blank to fold at within 998 octets (RFC 5322 §2.1.1).
	ErrLongLine = errors.New("rfc2822: header field cannot be folded below 998 octets")
	// ErrNotFound: the message has no such field, or no body.
	ErrNotFound = errors.New("rfc2822: not found")
	// ErrBodyRead: the body came from a stream and was read already.
	ErrBodyRead = errors.New("rfc2822: the body was already read")
)

// Lengths of RFC 5322 §2.1.1, in octets without the line end.
const (
	softLine = 78
	hardLine = 998
)

// Field is one header field exactly as it stands in the message, with its
// line ends and its folding. It is immutable.
type Field struct {
	raw  string
	name uint32 // length of the name; 0 for a line that is no field
	body uint32 // where the body begins, after the colon
}

// NewField makes a field from a name and an unfolded value, ends its lines
// with CRLF and folds them at blanks below 78 octets where it can. Octets above 127
// stay as they are (RFC 6532); use EncodeWords where the way is not known to be
// clean for them.
func NewField(name, value string) (Field, error) {
	return newField(name, value, "\r\n")
}

func newField(name, value, eol string) (Field, error) {
	if !validName(name) {
		return Field{}, fmt.Errorf("%w: %q", ErrBadName, name)
	}
	if strings.ContainsAny(value, "\r\n\x00") {
		return Field{}, fmt.Errorf("%w: %s", ErrBadValue, name)
	}
	var b strings.Builder
	b.Grow(len(name) + len(value) + 8)
	b.WriteString(name)
	b.WriteString(": ")
	if err := fold(&b, len(name)+2, strings.Trim(value, " \t"), eol); err != nil {
		return Field{}, fmt.Errorf("%w: %s", err, name)
	}
	b.WriteString(eol)
	return Field{raw: b.String(), name: uint32(len(name)), body: uint32(len(name) + 1)}, nil
}

// fold writes value, breaking lines before a blank so that unfolding gives
// the value back octet for octet. used is how much of the first line is taken.
func fold(b *strings.Builder, used int, value, eol string) error {
	first := true
	for value != "" {
		// A piece is a run of blanks and the word behind it: a break before the
		// last blank of the run never leaves a line of blanks only.
		word := len(value) - len(strings.TrimLeft(value, " \t"))
		end := strings.IndexAny(value[word:], " \t")
		if end < 0 {
			end = len(value)
		} else {
			end += word
		}
		switch {
		case used+end <= softLine || word == 0 && used+end <= hardLine:
			b.WriteString(value[:end])
			used += end
		case word == 0 && first:
			// The word after "Name: " does not fit: the blank is ours to break at.
			b.WriteString(eol)
			b.WriteByte(' ')
			b.WriteString(value[:end])
			used = 1 + end
		case word == 0 || used+word-1 > hardLine:
			return ErrLongLine
		default:
			b.WriteString(value[:word-1])
			b.WriteString(eol)
			b.WriteString(value[word-1 : end])
			used = end - word + 1
		}
		if used > hardLine {
			return ErrLongLine
		}
		value, first = value[end:], false
	}
	return nil
}

// Name returns the field's name as written, or "" for a line that is no field.
func (f Field) Name() string { return f.raw[:f.name] }

// Is reports whether the field has this name; case does not matter.
func (f Field) Is(name string) bool {
	return int(f.name) == len(name) && f.name > 0 && strings.EqualFold(f.raw[:f.name], name)
}

// Raw returns the field's octets, line end included.
func (f Field) Raw() string { return f.raw }

// Body returns the octets after the colon: folding and line end included.
func (f Field) Body() string { return f.raw[f.body:] }

// Value returns the unfolded body without the blanks around it (RFC 5322
// §2.2.3). Nothing is decoded; see Text.
func (f Field) Value() string {
	v := strings.Trim(f.raw[f.body:], " \t\r\n")
	if strings.IndexByte(v, '\n') < 0 {
		return v
	}
	return unfold(v)
}

// unfold removes the line ends; the blanks behind them stay.
func unfold(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, '\n')
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(strings.TrimSuffix(s[:i], "\r"))
		s = s[i+1:]
	}
}

// parseField makes a field of its lines. What is no field gets no name.
func parseField(raw string) Field {
	name, body := splitName([]byte(raw))
	return Field{raw: raw, name: uint32(name), body: uint32(body)}
}

func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return s != ""
}
