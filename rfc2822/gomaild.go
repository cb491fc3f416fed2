package rfc2822

import (
	"fmt"
	"io"
	"strings"
)

// Header is one field as a pair of strings: its name, and its unfolded value.
type Header struct {
	Key, Value string
}

// GetHeader returns the value of the lowest field with this name, or ErrNotFound.
func (m *Message) GetHeader(name string) (string, error) {
	f, ok := m.Header.Last(name)
	if !ok {
		return "", fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return f.Value(), nil
}

// GetHeaders returns all fields with this name from top to bottom, or ErrNotFound.
func (m *Message) GetHeaders(name string) ([]Header, error) {
	fields := m.Header.Named(name)
	if len(fields) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	out := make([]Header, len(fields))
	for i, f := range fields {
		out[i] = Header{f.Name(), f.Value()}
	}
	return out, nil
}

// Fields returns all fields from top to bottom; lines that are no fields are left out.
func (m *Message) Fields() []Header {
	out := make([]Header, 0, m.Header.Len())
	for f := range m.Header.All() {
		if f.Name() != "" {
			out = append(out, Header{f.Name(), f.Value()})
		}
	}
	return out
}

// AddHeader puts a field on top, folded. ErrBadName, ErrBadValue and ErrLongLine
// say what was refused.
func (m *Message) AddHeader(name, value string) error { return m.Header.Add(name, value) }

// AddMultiHeader puts a field of several lines on top: one line for each
// string, continued with a tab.
func (m *Message) AddMultiHeader(name string, lines []string) error {
	if !validName(name) {
		return fmt.Errorf("%w: %q", ErrBadName, name)
	}
	var b strings.Builder
	b.WriteString(name + ":")
	for i, line := range lines {
		line = strings.Trim(line, " \t")
		switch {
		case strings.ContainsAny(line, "\r\n\x00"):
			return fmt.Errorf("%w: %s", ErrBadValue, name)
		case len(line)+len(name)+2 > hardLine:
			return fmt.Errorf("%w: %s", ErrLongLine, name)
		case line == "":
			continue // a line of blanks only would be obsolete folding (RFC 5322 §4.2)
		case i > 0:
			b.WriteString("\r\n\t" + line)
		default:
			b.WriteString(" " + line)
		}
	}
	b.WriteString("\r\n")
	m.Header.Prepend(parseField(b.String()))
	return nil
}

// GetBody returns the body's octets as they stand, or ErrNotFound if there is
// none. It holds all of it in memory; Body does not.
func (m *Message) GetBody() (string, error) {
	if err := m.buffer(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(m.Body())
	if err == nil && len(b) == 0 {
		return "", fmt.Errorf("%w: body", ErrNotFound)
	}
	return string(b), err
}

// HeadersText returns the fields as they stand, without the empty line.
func (m *Message) HeadersText() string {
	text := m.Header.String()
	return text[:len(text)-len(m.Header.sep)]
}

// Text returns the whole message, octet for octet, or "" if it cannot be read.
// It holds all of it in memory; WriteTo does not.
func (m *Message) Text() string {
	if m.buffer() != nil {
		return ""
	}
	var b strings.Builder
	if _, err := m.WriteTo(&b); err != nil {
		return ""
	}
	return b.String()
}

// buffer turns a body that can be read once into one that can be read again.
func (m *Message) buffer() error {
	if m.Rereadable() {
		return nil
	}
	if m.body.read {
		return ErrBodyRead
	}
	b, err := io.ReadAll(m.body.stream)
	if err != nil {
		m.body.read = true
		return err
	}
	m.body = body{at: strings.NewReader(string(b)), n: int64(len(b))}
	return nil
}
