package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Source is the parsed text of one file, or of several merged ones: every
// value and the place where it stands. It does not change and may be used
// concurrently.
type Source struct {
	root    *node // nil if the text held nothing
	files   []*file
	repeats []Repeat
}

// Repeat is a value that has been said twice.
type Repeat struct {
	Steps  []any // the way to it (see Path)
	First  Position
	Second Position // in the same file: two objects that were merged; else the one that counts
}

// Repeats returns what has been said twice: objects that stand twice in one file
// and were merged (Decoder.DuplicateObjects), and what a later file said in
// place of an earlier one, but for a null that takes it back.
func (s *Source) Repeats() []Repeat { return slices.Clone(s.repeats) }

// Origins says where each value came from, by its path (see Path).
type Origins map[string]Position

// Read reads all of r. The error is an Errors, or what r failed with. With an
// Errors comes what could be read all the same: the Source of a text whose keys
// stand twice has the first of each; that of one which is no JSON is nil.
func (d *Decoder) Read(r io.Reader) (*Source, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", Position{File: d.Name}, err)
	}
	f := &file{name: d.Name, text: text, hide: d.Hide, plain: d.Plain}
	p, errs := parse(f, d.DuplicateObjects)
	if p == nil {
		return nil, errs
	}
	if root := p.root; root != nil && root.kind != kindObject && d.objectOnly {
		return nil, append(errs, f.errorAt(root.start, fmt.Errorf("found %s where an object should stand: { ... }", root.found())))
	}
	f.position(0) // makes the index of lines, so that later uses only read it
	return &Source{root: p.root, files: []*file{f}, repeats: p.repeats}, errs.errOrNil()
}

// ReadFiles reads these files and merges them in this order. All their
// problems are in the error: an Errors, unless a file cannot be read. With it
// comes what could be read all the same, as Read has it; Files tells of which.
func (d *Decoder) ReadFiles(names ...string) (*Source, error) {
	var all Errors
	var failed []error
	sources := make([]*Source, 0, len(names))
	for _, name := range names {
		s, err := d.readFile(name)
		var errs Errors
		switch {
		case errors.As(err, &errs):
			all = append(all, errs...)
		case err != nil:
			failed = append(failed, err)
		}
		if s != nil {
			sources = append(sources, s)
		}
	}
	merged := Merge(sources...)
	if len(failed) > 0 {
		return merged, errors.Join(append(failed, all.Unwrap()...)...)
	}
	return merged, all.errOrNil()
}

func (d *Decoder) readFile(name string) (*Source, error) {
	one := *d
	one.Name = filepath.ToSlash(name)
	one.objectOnly = true
	if text, ok := d.Texts[name]; ok {
		return one.Read(bytes.NewReader(text))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return one.Read(f)
}

// Merge lays sources over each other: objects are merged, of anything else
// the last one counts. A null takes back what an earlier source said.
func Merge(sources ...*Source) *Source {
	merged := &Source{}
	for _, s := range sources {
		merged.files = append(merged.files, s.files...)
		if s.root != nil {
			merged.root = merged.overlay(merged.root, s.root, nil)
		}
		merged.repeats = append(merged.repeats, s.repeats...)
	}
	return merged
}

// overlay returns new trees where it changes something, so that the sources
// stay as they are. path is the way to them.
func (s *Source) overlay(under, over *node, path []any) *node {
	if under == nil || under.kind != kindObject || over.kind != kindObject {
		return over
	}
	n := &node{kind: kindObject, start: under.start, end: under.end, file: under.file}
	for _, m := range under.members {
		if o := over.member(m.key); o != nil {
			steps := append(path[:len(path):len(path)], m.key)
			if !(m.value.kind == kindObject && o.value.kind == kindObject) && m.value.kind != kindNull && o.value.kind != kindNull {
				s.repeats = append(s.repeats, Repeat{steps, m.file.position(m.start), o.file.position(o.start)})
			}
			m = &member{key: o.key, start: o.start, end: o.end, file: o.file, value: s.overlay(m.value, o.value, steps)}
		}
		n.add(m)
	}
	for _, m := range over.members {
		if under.member(m.key) == nil {
			n.add(m)
		}
	}
	return n
}

// Files returns the names of the files, in order.
func (s *Source) Files() []string {
	names := make([]string, len(s.files))
	for i, f := range s.files {
		names[i] = f.name
	}
	return names
}

// Text returns what a file held when it was read, and whether it is one of the files. It
// must not be changed.
func (s *Source) Text(name string) ([]byte, bool) {
	for _, f := range s.files {
		if f.name == name {
			return f.text, true
		}
	}
	return nil, false
}

// Origins returns the place of every value; for a member of an object that is
// where its key stands.
func (s *Source) Origins() Origins {
	o := make(Origins)
	if s.root != nil {
		walk(s.root, "", s.root.start, s.root.file, func(path string, f *file, offset int) { o[path] = f.position(offset) })
	}
	return o
}

func walk(n *node, path string, offset int, f *file, visit func(path string, f *file, offset int)) {
	visit(path, f, offset)
	for _, m := range n.members {
		walk(m.value, childPath(path, m.key), m.start, m.file, visit)
	}
	for i, item := range n.items {
		walk(item, itemPath(path, i), item.start, item.file, visit)
	}
}

// Where returns the place of one value, as Origins has it, and whether the text
// gives one at all.
func (s *Source) Where(steps ...any) (Position, bool) {
	n := s.root
	if n == nil {
		return Position{}, false
	}
	f, offset := n.file, n.start
	for _, step := range steps {
		next := n.child(step)
		if next == nil {
			return Position{}, false
		}
		f, offset = next.file, next.start
		if key, ok := step.(string); ok {
			m := n.member(key)
			f, offset = m.file, m.start
		}
		n = next
	}
	return f.position(offset), true
}

// Has reports whether the text gives a value at this path (see Path for the
// steps), be it null.
func (s *Source) Has(steps ...any) bool {
	_, _, depth := s.find(steps)
	return depth == len(steps) && s.root != nil
}

// Scalar reports whether the text gives a string, a number or a bool at this path.
func (s *Source) Scalar(steps ...any) bool {
	n := s.root
	for _, step := range steps {
		if n = n.child(step); n == nil {
			return false
		}
	}
	return n != nil && n.kind != kindNull && n.kind != kindList && n.kind != kindObject
}

// Errorf makes an Error about the value at steps (see Path). If it is not
// in the text, the Error is about the nearest thing around it that is.
func (s *Source) Errorf(steps []any, format string, args ...any) *Error {
	return s.problem(steps, false, fmt.Errorf(format, args...))
}

// KeyErrorf is Errorf for what is wrong with the last key of steps, and not
// with its value.
func (s *Source) KeyErrorf(steps []any, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	if len(steps) > 0 {
		parent := s.root
		for _, step := range steps[:len(steps)-1] {
			parent = parent.child(step)
		}
		if key, ok := steps[len(steps)-1].(string); ok && parent != nil {
			if m := parent.member(key); m != nil {
				return m.file.errorAt(m.start, err)
			}
		}
	}
	return s.problem(steps, false, err)
}

// SecretErrorf is Errorf for a place where a secret may stand: the line is
// shown without its values.
func (s *Source) SecretErrorf(steps []any, format string, args ...any) *Error {
	return s.problem(steps, true, fmt.Errorf(format, args...))
}

func (s *Source) problem(steps []any, secret bool, err error) *Error {
	f, offset, _ := s.find(steps)
	if f == nil || len(f.lines) == 0 {
		e := &Error{Err: err}
		if len(s.files) > 0 {
			e.Name = s.files[0].name
		}
		return e
	}
	return f.problem(offset, err, secret)
}

// find follows steps as far as the text goes. For a member it gives the place
// of the value if the value stands on the key's line and is no object or list,
// else that of the key.
func (s *Source) find(steps []any) (f *file, offset, depth int) {
	n := s.root
	if n == nil {
		return nil, 0, 0
	}
	f, offset = n.file, n.start
	for ; depth < len(steps); depth++ {
		next := n.child(steps[depth])
		if next == nil {
			break
		}
		f, offset = next.file, next.start
		if key, ok := steps[depth].(string); ok && (next.kind == kindObject || next.kind == kindList) {
			m := n.member(key)
			f, offset = m.file, m.start
		}
		n = next
	}
	return f, offset, depth
}
