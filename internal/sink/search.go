package sink

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/postrider-mail/postrider/rfc2822"
)

// Search is a query that was read. A nil one finds everything.
//
// Words are all to be there; "two words" in quotes are a phrase; - or ! before a term
// is not. from: to: cc: bcc: reply-to: subject: message-id: addressed: look into one
// field, rcpt: and login: into the envelope, header:NAME=TEXT into any field of the
// header; tag:, is:read, is:unread, is:tagged, has:attachment, has:inline, after:,
// before:, larger: and smaller: say what they say. What has another prefix is a word.
type Search struct {
	terms []term
	// Bad are the terms that cannot be read: they find everything, so that nothing should be
	// deleted by a query that has one.
	Bad []string
}

type term struct {
	not     bool
	matches func(*Message) bool
	header  *headerTerm // in place of matches
}

type headerTerm struct {
	name, text string
}

// ParseSearch reads a query. Times without a zone are in loc.
func ParseSearch(query string, loc *time.Location) *Search {
	s := &Search{}
	for _, word := range words(query) {
		t := term{}
		text := word.text
		if !word.quoted && len(text) > 1 && (text[0] == '-' || text[0] == '!') {
			t.not, text = true, text[1:]
		}
		if err := t.read(text, word.quoted, loc); err != nil {
			s.Bad = append(s.Bad, word.text)
			continue
		}
		s.terms = append(s.terms, t)
	}
	return s
}

// Empty reports whether the query says nothing at all.
func (s *Search) Empty() bool { return s == nil || len(s.terms) == 0 && len(s.Bad) == 0 }

// match reports whether the message is meant; octets reads it, for those terms that need that.
func (s *Search) match(m *Message, octets func() []byte) bool {
	if s == nil {
		return true
	}
	for _, t := range s.terms {
		found := false
		if t.header != nil {
			found = t.header.in(octets())
		} else {
			found = t.matches(m)
		}
		if found == t.not {
			return false
		}
	}
	return true
}

func (h *headerTerm) in(raw []byte) bool {
	if !named(raw, h.name) {
		return false
	}
	read, err := rfc2822.ReadString(string(raw))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(read.Header.Named(h.name), func(f rfc2822.Field) bool { return strings.Contains(folded(f.Text()), h.text) })
}

// named reports whether a line of the header begins with a field's name, in any case: few messages
// have the field that is asked for, and only theirs are taken apart.
func named(raw []byte, name string) bool {
	for len(raw) > 0 && raw[0] != '\r' && raw[0] != '\n' {
		if len(raw) > len(name) && strings.EqualFold(string(raw[:len(name)]), name) {
			return true
		}
		end := bytes.IndexByte(raw, '\n')
		if end < 0 {
			return false
		}
		raw = raw[end+1:]
	}
	return false
}

func (t *term) read(text string, quoted bool, loc *time.Location) error {
	prefix, value, ok := strings.Cut(text, ":")
	if quoted || !ok {
		prefix, value = "", text
	}
	value = folded(value)
	switch prefix = folded(prefix); prefix {
	case "is", "has", "tag", "login", "rcpt":
		return t.readState(prefix, value)
	case "after", "before":
		return t.readTime(prefix, value, loc)
	case "larger", "smaller":
		return t.readSize(prefix, value)
	case "header":
		name, text, ok := strings.Cut(value, "=")
		if !ok || name == "" {
			return fmt.Errorf("header:NAME=TEXT")
		}
		t.header = &headerTerm{name, text}
		return nil
	}
	in := fields(prefix)
	if in == nil {
		value, in = folded(text), fields("")
	}
	t.matches = func(m *Message) bool {
		// To ask the sketch takes longer than to look through one short field.
		if in[0] == nil {
			return m.searched.sketch.mayHold(value) && strings.Contains(m.searched.all, value)
		}
		return slices.ContainsFunc(in, func(field func(*Message) string) bool { return strings.Contains(field(m), value) })
	}
	return nil
}

// fields are the texts that a prefix looks into; nil if it is none.
func fields(prefix string) []func(*Message) string {
	from, to := func(m *Message) string { return m.searched.from }, func(m *Message) string { return m.searched.to }
	cc, bcc := func(m *Message) string { return m.searched.cc }, func(m *Message) string { return m.searched.bcc }
	replyTo, subject := func(m *Message) string { return m.searched.replyTo }, func(m *Message) string { return m.searched.subject }
	switch prefix {
	case "from":
		return []func(*Message) string{from}
	case "to":
		return []func(*Message) string{to}
	case "cc":
		return []func(*Message) string{cc}
	case "bcc":
		return []func(*Message) string{bcc}
	case "reply-to":
		return []func(*Message) string{replyTo}
	case "subject":
		return []func(*Message) string{subject}
	case "message-id":
		return []func(*Message) string{func(m *Message) string { return m.searched.messageID }}
	case "addressed":
		return []func(*Message) string{from, to, cc, bcc, replyTo}
	case "":
		return []func(*Message) string{nil} // all of them
	}
	return nil
}

func (t *term) readState(prefix, value string) error {
	switch prefix + ":" + value {
	case "is:read":
		t.matches = func(m *Message) bool { return m.Read }
	case "is:unread":
		t.matches = func(m *Message) bool { return !m.Read }
	case "is:tagged":
		t.matches = func(m *Message) bool { return len(m.Tags) > 0 }
	case "has:attachment", "has:attachments":
		t.matches = func(m *Message) bool { return m.Attachments > 0 }
	case "has:inline", "has:inlines":
		t.matches = func(m *Message) bool { return m.Inline > 0 }
	default:
		switch prefix {
		case "tag":
			t.matches = func(m *Message) bool { return hasTag(m.Tags, value) }
		case "login":
			t.matches = func(m *Message) bool { return strings.Contains(folded(m.User), value) }
		case "rcpt":
			t.matches = func(m *Message) bool {
				return slices.ContainsFunc(m.Envelope.To, func(to string) bool { return strings.Contains(folded(to), value) })
			}
		default:
			return fmt.Errorf("%s:%s says nothing", prefix, value)
		}
	}
	return nil
}

// layouts are the forms of a time that are read, beside RFC 5322's and numbers of
// seconds since 1970.
var layouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
	"2006-01-02", "2006/01/02", "2006-01", "2 Jan 2006", "Jan 2 2006", "Jan 2, 2006", "2 January 2006", "January 2 2006", "January 2, 2006", "01/02/2006", "2006",
}

// ParseTime reads a time in one of the many forms people write.
func ParseTime(s string, loc *time.Location) (time.Time, error) {
	s = strings.ToUpper(s) // what layouts compare: "T" and "Z"; names of months are not
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t, nil
		}
	}
	if t, err := rfc2822.ParseDate(s); err == nil {
		return t, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 9999 && n < 1<<40 {
		return time.Unix(n, 0), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time", s)
}

func (t *term) readTime(prefix, value string, loc *time.Location) error {
	limit, err := ParseTime(value, loc)
	if err != nil {
		return err
	}
	t.matches = func(m *Message) bool { return m.Received.Before(limit) == (prefix == "before") }
	return nil
}

func (t *term) readSize(prefix, value string) error {
	number, unit := value, int64(1)
	for suffix, octets := range map[string]int64{"kb": 1 << 10, "k": 1 << 10, "mb": 1 << 20, "m": 1 << 20} {
		if n, ok := strings.CutSuffix(value, suffix); ok {
			number, unit = n, octets
		}
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || f < 0 || f > 1e12 {
		return fmt.Errorf("%q is no size", value)
	}
	limit := int64(f * float64(unit))
	t.matches = func(m *Message) bool {
		if prefix == "larger" {
			return m.Size >= limit
		}
		return m.Size < limit
	}
	return nil
}

type word struct {
	text   string
	quoted bool // the whole of it
}

// words takes a query apart at spaces that are not in quotes. A quote within a word
// (subject:"two words") begins what goes on to the next one.
func words(query string) (all []word) {
	var b strings.Builder
	within, quoted, begun := false, false, false
	end := func() {
		if begun && b.Len() > 0 {
			all = append(all, word{b.String(), quoted})
		}
		b.Reset()
		quoted, begun = false, false
	}
	for _, r := range query {
		switch {
		case r == '"':
			if !begun {
				quoted = true
			}
			within, begun = !within, true
		case !within && unicode.IsSpace(r):
			end()
		default:
			b.WriteRune(r)
			begun = true
		}
	}
	end()
	return all
}
