package config

import "slices"

// Text is a text in another format whose problems are told as this package tells
// those of its own: with file, line and column, and the line with a caret. It is for
// one goroutine at a time.
type Text struct{ f file }

// NewText makes a Text of the file of that name. text must not change afterwards.
func NewText(name string, text []byte) *Text { return &Text{file{name: name, text: text}} }

// Position is the place of an octet, counted from 0.
func (t *Text) Position(offset int) Position { return t.f.position(offset) }

// ErrorAt makes an Error about the place of an octet.
func (t *Text) ErrorAt(offset int, err error) *Error { return t.f.errorAt(offset, err) }

// ErrOrNil is the problems in the order of their places, and nil if there are none. There are
// at most as many as anybody reads.
func (es Errors) ErrOrNil() error {
	es = slices.Clone(es)
	es.Sort()
	return es[:min(len(es), maxErrors)].errOrNil()
}
