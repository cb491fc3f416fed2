package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Set returns src with the value at path changed or, where it is not there
// yet, added at the end of its object; objects on the way to it are added,
// too. Steps of path are keys, or positions in lists as decimal numbers, of an
// item that exists or right behind the last one. The value is written as encoding/json writes it. Everything
// else, comments included, stays as it is, byte for byte. An empty src becomes
// an object with this value alone.
//
// The error is an *Error, an Errors, or that of encoding/json.
func Set(src []byte, value any, path ...string) ([]byte, error) {
	if len(path) == 0 {
		return nil, errors.New("config: set without a path")
	}
	e, err := edit(src)
	if err != nil {
		return nil, err
	}
	if e.root == nil {
		return e.create(value, path)
	}
	at, rest, err := e.walk(path)
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 && e.again(path) > 1 { // an object that stands twice becomes one value
		if src, err = removeLast(src, path); err != nil {
			return nil, err
		}
		return Set(src, value, path...)
	}
	indent := e.indentOf(at.start)
	if len(rest) == 0 || at.kind == kindNull {
		text, err := e.encode(value, rest, indent)
		if err != nil {
			return nil, err
		}
		return splice(src, cut{at.start, at.end, text}), nil
	}
	return e.add(at, value, rest)
}

// Remove returns src without the value at path, its key and its comma. A line
// that held nothing else goes, too; comments stay, but for those within the
// value or between it and its key. It is not an error if there is no such value.
func Remove(src []byte, path ...string) ([]byte, error) {
	for {
		e, err := edit(src)
		if err != nil || e.root == nil || len(path) == 0 {
			return src, err
		}
		times := e.again(path)
		if times == 0 {
			return src, nil
		}
		if src, err = removeLast(src, path); err != nil || times == 1 {
			return src, err
		}
	}
}

// again counts the places where the last step of path stands: more than one
// only for objects, which are merged.
func (e *editor) again(path []string) (times int) {
	parent, rest, err := e.walk(path[:len(path)-1])
	if err != nil || len(rest) > 0 {
		return 0
	}
	for _, s := range parent.elements() {
		if s.key == path[len(path)-1] {
			times++
		}
	}
	return times
}

// removeLast takes out the last element at path.
func removeLast(src []byte, path []string) ([]byte, error) {
	e, err := edit(src)
	if err != nil {
		return nil, err
	}
	parent, rest, err := e.walk(path[:len(path)-1])
	if err != nil || len(rest) > 0 {
		return src, err
	}
	spans := parent.elements()
	for i, s := range slices.Backward(spans) {
		if s.key == path[len(path)-1] {
			return e.remove(spans, i), nil
		}
	}
	return src, nil
}

// editor is a text being edited.
type editor struct {
	src  []byte
	root *node
	eol  string
	unit string // one step of indentation
}

func edit(src []byte) (*editor, error) {
	f := &file{text: src}
	p, errs := parse(f, true)
	if len(errs) > 0 {
		return nil, errs
	}
	root := p.root
	e := &editor{src: src, root: root, eol: "\n", unit: "    "}
	if i := bytes.IndexByte(src, '\n'); i > 0 && src[i-1] == '\r' {
		e.eol = "\r\n"
	}
	if root != nil && root.kind != kindObject && root.kind != kindList {
		return nil, f.errorAt(root.start, errors.New("the file holds a single value, no object"))
	}
	if root != nil {
		if spans := root.elements(); len(spans) > 0 && e.startsLine(spans[0].start) {
			outer, inner := e.indentOf(root.start), e.indentOf(spans[0].start)
			if unit, ok := strings.CutPrefix(inner, outer); ok && unit != "" {
				e.unit = unit
			}
		}
	}
	return e, nil
}

// walk follows path as far as it leads. What is left is to be added to the
// object or list it came to.
func (e *editor) walk(path []string) (*node, []string, error) {
	n := e.root
	for i, step := range path {
		if n.kind != kindObject && n.kind != kindList {
			if n.kind == kindNull {
				return n, path[i:], nil
			}
			return nil, nil, n.file.errorAt(n.start, fmt.Errorf("found %s where an object should stand to hold %q", n.found(), step))
		}
		var next *node
		for _, s := range n.elements() {
			if s.key == step && next == nil { // the first is what others were merged into
				next = s.value
			}
		}
		if next == nil {
			if n.kind == kindList && step != fmt.Sprint(len(n.items)) {
				return nil, nil, n.file.errorAt(n.start, fmt.Errorf("the list has no item %q", step))
			}
			return n, path[i:], nil
		}
		n = next
	}
	return n, nil, nil
}

// span is a member of an object or an item of a list, from the first byte of
// its key to the last of its value.
type span struct {
	key        string
	start, end int
	value      *node
}

// elements returns the spans in the order of the text. A key may have several:
// the first has the value, with what was merged into it.
func (n *node) elements() []span {
	spans := make([]span, 0, len(n.members)+len(n.items))
	for _, m := range n.members {
		spans = append(spans, span{m.key, m.start, m.value.end, m.value})
		for _, other := range m.also {
			spans = append(spans, span{m.key, other.start, other.value.end, other.value})
		}
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.start - b.start })
	for i, item := range n.items {
		spans = append(spans, span{fmt.Sprint(i), item.start, item.end, item})
	}
	return spans
}

// add appends a member to an object or an item to a list: on a line of its own where the closing
// bracket has one, else on the line of the last member.
func (e *editor) add(object *node, value any, path []string) ([]byte, error) {
	closing := object.end - 1
	outer, ownLine := e.indentOf(closing), e.startsLine(closing)
	last, found := e.lastWithin(object)
	inner := outer
	switch {
	case found && e.startsLine(last.start):
		inner = e.indentOf(last.start)
	case ownLine || !found:
		inner += e.unit
	}
	text, err := e.encode(value, path[1:], inner)
	if err != nil {
		return nil, err
	}
	if object.kind == kindObject {
		text = quote(path[0]) + ": " + text
	}
	line := e.lineStart(closing)
	if !found {
		if ownLine {
			return splice(e.src, cut{line, line, inner + text + e.eol}), nil
		}
		return splice(e.src, cut{closing, closing, e.eol + inner + text + e.eol + outer}), nil
	}
	behind, before, after := last.end, ",", ""
	if comma := skipBlank(e.src, last.end); e.src[comma] == ',' { // they like it behind the last one
		behind, before, after = comma+1, "", ","
	}
	if !ownLine {
		return splice(e.src, cut{behind, behind, before + " " + text + after}), nil
	}
	return splice(e.src, cut{behind, behind, before}, cut{line, line, inner + text + after + e.eol}), nil
}

// lastWithin returns the last member that stands between the object's own
// brackets: an object that was merged has members elsewhere.
func (e *editor) lastWithin(object *node) (last span, found bool) {
	for _, s := range object.elements() {
		if s.start > object.start && s.end < object.end && (!found || s.start > last.start) {
			last, found = s, true
		}
	}
	return last, found
}

// create makes the first object of a text that has no value, below the
// comments that may stand there.
func (e *editor) create(value any, path []string) ([]byte, error) {
	text, err := e.encode(value, path, "")
	if err != nil {
		return nil, err
	}
	src := e.src
	if n := len(src); n > 0 && src[n-1] != '\n' && len(bytes.TrimPrefix(src, bom)) > 0 {
		text = e.eol + text
	}
	return append(bytes.Clone(src), text+e.eol...), nil
}

// remove takes out the i-th element with its comma. The last one, if it has
// none, takes that of the one before.
func (e *editor) remove(spans []span, i int) []byte {
	from, to := spans[i].start, spans[i].end
	comma := skipBlank(e.src, to)
	switch own := e.src[comma] == ','; {
	case own && allBlank(e.src[to:comma]):
		to = comma + 1
	case own: // a comment or a line break stands between
		return splice(e.src, cut{from, to, ""}, cut{comma, comma + 1, ""})
	case i > 0:
		comma = skipBlank(e.src, spans[i-1].end)
		if e.src[comma] != ',' || skipBlank(e.src, comma+1) != from {
			break // the one before is elsewhere, in an object merged with this
		}
		if allBlank(e.src[comma+1 : from]) {
			return splice(e.src, cut{comma, to, ""})
		}
		from, to = e.widen(from, to)
		return splice(e.src, cut{comma, comma + 1, ""}, cut{from, to, ""})
	}
	from, to = e.widen(from, to)
	return splice(e.src, cut{from, to, ""})
}

// widen takes the whole line if nothing else is on it, else the blanks before
// what follows.
func (e *editor) widen(from, to int) (int, int) {
	rest := to
	for rest < len(e.src) && strings.IndexByte(" \t\r", e.src[rest]) >= 0 {
		rest++
	}
	switch starts := e.startsLine(from); {
	case starts && rest < len(e.src) && e.src[rest] == '\n':
		return e.lineStart(from), rest + 1
	case rest < len(e.src) && e.src[rest] != '\n':
		return from, rest
	}
	return from, to
}

func allBlank(b []byte) bool { return len(bytes.Trim(b, " \t\r")) == 0 }

func (e *editor) lineStart(i int) int { return bytes.LastIndexByte(e.src[:i], '\n') + 1 }

// startsLine reports whether only blanks stand before i on its line.
func (e *editor) startsLine(i int) bool {
	return allBlank(bytes.TrimPrefix(e.src[e.lineStart(i):i], bom))
}

// indentOf is the white space that i's line begins with.
func (e *editor) indentOf(i int) string {
	line := bytes.TrimPrefix(e.src[e.lineStart(i):i], bom)
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// encode writes value, below objects for the steps of path, indented for a
// place on a line that begins with indent.
func (e *editor) encode(value any, path []string, indent string) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", e.unit)
	if err := enc.Encode(value); err != nil {
		return "", fmt.Errorf("config: write a value: %w", err)
	}
	text := strings.TrimSuffix(b.String(), "\n")
	for i := len(path) - 1; i >= 0; i-- {
		text = "{\n" + e.unit + quote(path[i]) + ": " + strings.ReplaceAll(text, "\n", "\n"+e.unit) + "\n}"
	}
	return strings.ReplaceAll(text, "\n", e.eol+indent), nil
}

// cut replaces a part of a text.
type cut struct {
	from, to int
	text     string
}

// splice makes all cuts, which stand in order.
func splice(src []byte, cuts ...cut) []byte {
	var b bytes.Buffer
	at := 0
	for _, c := range cuts {
		b.Write(src[at:c.from])
		b.WriteString(c.text)
		at = c.to
	}
	b.Write(src[at:])
	return b.Bytes()
}
