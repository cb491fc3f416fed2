package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds on what is read: enough for some hundred thousand accounts, and never
// more than some hundred megabytes of memory.
const (
	maxSize   = 32 << 20 // octets of one text
	maxDepth  = 64       // objects and lists within each other
	maxValues = 1 << 20  // values of one text
)

// parser makes a tree of plain JSON. The grammar is that of RFC 8259. The
// first violation ends it, since what follows could only be guessed at; keys
// that stand twice are collected in errs.
type parser struct {
	file   *file
	src    []byte // standardized
	at     int
	last   int    // where the last value ended
	key    string // the last one read
	depth  int
	values int
	merge  bool // objects that stand twice are merged
	errs   Errors

	root    *node  // what was parsed
	path    []step // to the object or list at hand
	repeats []Repeat
	opened  int // where the first object or list began whose end does not fit; -1: none
}

// step is one of Path: a key, or a position where the key is nil.
type step struct {
	key *string
	at  int
}

// steps writes a way as Path takes it.
func steps(way []step) []any {
	all := make([]any, len(way))
	for i, s := range way {
		all[i] = s.at
		if s.key != nil {
			all[i] = *s.key
		}
	}
	return all
}

// parse parses a text; its root is nil if it holds no value at all. The parser
// is nil if the text is no JSON, and the errors are others than keys that stand
// twice.
func parse(f *file, merge bool) (*parser, Errors) {
	if len(f.text) > maxSize {
		return nil, Errors{{Name: f.name, Err: fmt.Errorf("the file is larger than %v", Size(maxSize))}}
	}
	if i := validUTF8(f.text); i >= 0 && !strings.HasPrefix(string(f.text[:min(2, len(f.text))]), "\xFF\xFE") &&
		!strings.HasPrefix(string(f.text[:min(2, len(f.text))]), "\xFE\xFF") {
		return nil, Errors{f.errorAt(i, errors.New("this is not UTF-8; save the file as UTF-8"))}
	}
	src, err := standardize(f)
	if err != nil {
		return nil, Errors{err}
	}
	p := &parser{file: f, src: src, merge: merge, opened: -1}
	if p.blank(); p.at == len(src) {
		return p, nil
	}
	p.root, err = p.value()
	if err == nil {
		if p.blank(); p.at < len(src) {
			err = p.unexpected("the end of the file")
		}
	}
	if err != nil {
		return nil, append(p.errs, err)
	}
	return p, p.errs
}

func (p *parser) blank() {
	for p.at < len(p.src) && isBlank(p.src[p.at]) {
		p.at++
	}
}

func (p *parser) value() (*node, *Error) {
	if p.values++; p.values > maxValues {
		return nil, p.file.errorAt(p.at, fmt.Errorf("more than %d values", maxValues))
	}
	if p.at == len(p.src) {
		return nil, p.unexpected("a value")
	}
	n := &node{start: p.at, file: p.file}
	var err *Error
	switch c := p.src[p.at]; {
	case c == '{':
		n.kind = kindObject
		err = p.nested(func() *Error { return p.object(n) })
	case c == '[':
		n.kind = kindList
		err = p.nested(func() *Error { return p.list(n) })
	case c == '"':
		n.kind = kindString
		n.text, err = p.string()
	case c == '-' || c >= '0' && c <= '9':
		n.kind = kindNumber
		n.text, err = p.number()
	default:
		n.kind, n.text, err = p.word()
	}
	n.end, p.last = p.at, p.at
	return n, err
}

func (p *parser) nested(body func() *Error) *Error {
	if p.depth++; p.depth > maxDepth {
		return p.file.errorAt(p.at, fmt.Errorf("objects and lists are nested deeper than %d", maxDepth))
	}
	defer func() { p.depth-- }()
	return body()
}

func (p *parser) object(n *node) *Error {
	p.at++
	for first := true; ; first = false {
		if done, err := p.next('}', n.start, first, "object"); done || err != nil {
			return err
		}
		m := &member{start: p.at, file: p.file}
		if p.src[p.at] != '"' {
			return p.unexpected("a key in quotes")
		}
		var err *Error
		if m.key, err = p.string(); err != nil {
			return err
		}
		m.end, p.key = p.at, m.key
		if p.blank(); p.at == len(p.src) || p.src[p.at] != ':' {
			return p.unexpected(fmt.Sprintf("a colon after the key %q", m.key))
		}
		p.at++
		p.blank()
		p.path = append(p.path, step{key: &m.key})
		m.value, err = p.value()
		p.path = p.path[:len(p.path)-1]
		if err != nil {
			return err
		}
		if old := n.member(m.key); old != nil {
			p.again(old, m, p.path)
		} else {
			n.add(m)
		}
	}
}

// again deals with a key that stood in the object before. A scalar that stands
// twice is a mistake that would otherwise show only in the behaviour of the
// program.
// path is the way to the object that they stand in.
func (p *parser) again(old, m *member, path []step) {
	if p.merge && old.value.kind == kindObject && m.value.kind == kindObject {
		old.also = append(old.also, m)
		path = append(path[:len(path):len(path)], step{key: &m.key})
		if len(p.repeats) < maxErrors {
			p.repeats = append(p.repeats, Repeat{steps(path), p.file.position(old.start), p.file.position(m.start)})
		}
		for _, inner := range m.value.members {
			if o := old.value.member(inner.key); o != nil {
				p.again(o, inner, path)
			} else {
				old.value.add(inner)
			}
		}
		return
	}
	if len(p.errs) == maxErrors {
		return
	}
	first := p.file.position(old.start)
	p.errs = append(p.errs, p.file.errorAt(m.start,
		fmt.Errorf("%q stands here for the second time, the first is on line %d", m.key, first.Line)))
}

func (p *parser) list(n *node) *Error {
	p.at++
	for first := true; ; first = false {
		if done, err := p.next(']', n.start, first, "list"); done || err != nil {
			return err
		}
		p.path = append(p.path, step{at: len(n.items)})
		item, err := p.value()
		p.path = p.path[:len(p.path)-1]
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
}

// next steps to the next element of an object or list: over a comma, unless it
// is the first. done means that the end was there instead. start is where the
// object or list was opened.
func (p *parser) next(end byte, start int, first bool, what string) (done bool, err *Error) {
	p.blank()
	switch {
	case p.at == len(p.src):
		return false, p.unclosed(end, start, what)
	case p.src[p.at] == end:
		if p.opened < 0 && p.indent(p.at) >= 0 && p.indent(p.at) < p.lineIndent(start) {
			p.opened = start
		}
		p.at++
		return true, nil
	case first:
		return false, nil
	case strings.IndexByte(`"{[`, p.src[p.at]) >= 0:
		return false, p.file.errorAt(p.last, errors.New("a comma is missing here"))
	case p.src[p.at] != ',':
		err := p.unexpected(fmt.Sprintf("a comma or %q", end))
		if c := p.src[p.at]; c == '}' || c == ']' {
			err.Err = fmt.Errorf("%w; %s", err.Err, p.openedAt(start, what))
		}
		return false, err
	}
	p.at++
	if p.blank(); p.at == len(p.src) {
		return false, p.unclosed(end, start, what)
	}
	return false, nil
}

// unclosed is the end of the file where something is open.
func (p *parser) unclosed(end byte, start int, what string) *Error {
	return p.file.errorAt(p.at, fmt.Errorf("the file ends where %q at the end of the %s should stand; %s", end, what, p.openedAt(start, what)))
}

// openedAt says where the object or list at hand was opened, and which other one
// may be the one without an end. That shows in how the lines are indented: it was
// closed by the end of another, further to the left.
func (p *parser) openedAt(start int, what string) string {
	text := fmt.Sprintf("the %s was opened on line %d", what, p.file.position(start).Line)
	if p.opened >= 0 && p.opened != start {
		text += fmt.Sprintf("; what was opened on line %d seems to have no end", p.file.position(p.opened).Line)
	}
	return text
}

// indent is how many blanks stand before what is first on its line; -1 if
// something else is before it.
func (p *parser) indent(at int) int {
	n := 0
	for ; n < at && p.src[at-n-1] != '\n'; n++ {
		if !isBlank(p.src[at-n-1]) {
			return -1
		}
	}
	return n
}

// lineIndent is how many blanks the line of at begins with.
func (p *parser) lineIndent(at int) int {
	start := lineStart(p.src, at)
	n := 0
	for start+n < at && isBlank(p.src[start+n]) {
		n++
	}
	return n
}

// lineStart is where the line of at begins. Only so much of a long line is
// looked at: what was not written by hand is not indented.
func lineStart(b []byte, at int) int {
	for start := at; start >= max(0, at-longLine); start-- {
		if start == 0 || b[start-1] == '\n' {
			return start
		}
	}
	return at
}

func (p *parser) string() (string, *Error) {
	start := p.at
	end := stringEnd(p.src, start)
	if end < 0 {
		return "", p.file.errorAt(start, errors.New("this string is not closed on its line"))
	}
	p.at = end
	raw := p.src[start+1 : end-1]
	plain := true
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c < 0x20:
			return "", p.file.errorAt(start+1+i, fmt.Errorf("a control character in a string; write \\u%04x", c))
		case c == '\\':
			plain = false
			n := escapeLen(raw[i:])
			if n == 0 {
				return "", p.file.errorAt(start+1+i, errors.New(`not an escape sequence; write \\ for a backslash`))
			}
			i += n - 1
		}
	}
	if plain {
		return string(raw), nil
	}
	var s string
	if err := json.Unmarshal(p.src[start:end], &s); err != nil {
		return "", p.file.errorAt(start, fmt.Errorf("this string cannot be read: %w", err))
	}
	return s, nil
}

// escapeLen returns the length of the escape sequence that b begins with, or 0
// if it is none. Half a surrogate pair is none: it would silently become
// another character.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != 'u' {
		if strings.IndexByte(`"\/bfnrt`, b[1]) < 0 {
			return 0
		}
		return 2
	}
	r, ok := hex4(b)
	switch {
	case !ok || r >= 0xDC00 && r <= 0xDFFF:
		return 0
	case r < 0xD800 || r > 0xDFFF:
		return 6
	}
	if low, ok := hex4(b[6:]); !ok || low < 0xDC00 || low > 0xDFFF {
		return 0
	}
	return 12
}

func hex4(b []byte) (n int, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		n <<= 4
		switch {
		case c >= '0' && c <= '9':
			n += int(c - '0')
		case c >= 'a' && c <= 'f':
			n += int(c-'a') + 10
		case c >= 'A' && c <= 'F':
			n += int(c-'A') + 10
		default:
			return 0, false
		}
	}
	return n, true
}

// number reads the grammar of RFC 8259 §6, which is narrower than strconv's.
func (p *parser) number() (string, *Error) {
	start := p.at
	for p.at < len(p.src) && strings.IndexByte("+-.0123456789eE", p.src[p.at]) >= 0 {
		p.at++
	}
	lit := p.src[start:p.at]
	if !json.Valid(lit) || p.at < len(p.src) && isWord(p.src[p.at]) {
		p.at = start
		return "", p.file.errorAt(start, fmt.Errorf("%s is not a number; put a text in quotes", p.shown()))
	}
	return string(lit), nil
}

func (p *parser) word() (kind, string, *Error) {
	switch w := p.token(); w {
	case "true", "false":
		p.at += len(w)
		return kindBool, w, nil
	case "null":
		p.at += len(w)
		return kindNull, w, nil
	}
	return kindNull, "", p.unexpected("a value")
}

// token is the word or the character at the current place, for a message.
func (p *parser) token() string {
	end := p.at
	for end < len(p.src) && end-p.at < 40 && (isWord(p.src[end]) || strings.IndexByte("+-.", p.src[end]) >= 0) {
		end++
	}
	if end == p.at {
		_, n := utf8.DecodeRune(p.src[p.at:])
		end += n
	}
	return string(p.src[p.at:end])
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

func (p *parser) unexpected(wanted string) *Error {
	if p.at == len(p.src) {
		return p.file.errorAt(p.at, fmt.Errorf("the file ends where %s should stand", wanted))
	}
	hint := ""
	switch w := p.token(); {
	case w == "'":
		hint = "; strings stand in double quotes"
	case w == "True" || w == "False" || w == "yes" || w == "no" || w == "on" || w == "off":
		hint = "; write true or false"
	case isWord(w[0]) && (w[0] < '0' || w[0] > '9'):
		hint = "; texts and keys stand in quotes"
	case w == "}" || w == "]":
		if wanted == "a key in quotes" || wanted == "a value" {
			hint = "; is something missing before it?"
		}
	}
	if line := p.file.nested(p.at); line > 0 {
		hint = fmt.Sprintf("; comments do not nest: the one from line %d has ended before this", line)
	}
	return p.file.errorAt(p.at, fmt.Errorf("found %s where %s should stand%s", p.shown(), wanted, hint))
}

// shown is the token for a message, unless it may be a secret without its
// quotes.
func (p *parser) shown() string {
	w := p.token()
	if p.file.hide != nil && p.key != "" && p.file.hide(p.key, w) {
		return "this"
	}
	return strconv.Quote(w)
}
