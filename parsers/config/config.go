package config

import (
	"errors"
	"io"
)

// Source is the parsed text of one or more merged files: every value and where
// it stands.
type Source struct{}

// Position is a place in a file, counted from 1; columns count characters.
type Position struct {
	File      string
	Line, Col int
}

// Origins says where each value came from, by its path (see Path).
type Origins map[string]Position

// Decoder reads commented JSON into Go values.
type Decoder struct {
	Name             string // for file:line:col
	AllowUnknown     bool   // false: unknown keys are errors
	DuplicateObjects bool   // merge objects that stand twice; scalars twice are errors
}

// Decode reads all of r into object.
func (d *Decoder) Decode(r io.Reader, object any) error { return errors.ErrUnsupported }

// Error is one problem at one place.
type Error struct {
	Name      string
	Line, Col int
	Err       error
}

func (e *Error) Error() string { return e.Err.Error() }
