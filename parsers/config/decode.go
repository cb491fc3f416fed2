package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Decoder reads commented JSON into Go values. The zero value is strict:
// unknown keys and keys that stand twice are errors.
type Decoder struct {
	// Name is the file's name for file:line:col.
	Name string
	// AllowUnknown skips keys that the Go value has no place for.
	AllowUnknown bool
	// DuplicateObjects merges objects that stand twice under one key. Any
	// other value that stands twice stays an error.
	DuplicateObjects bool
	// Renamed tells what to write instead of an unknown key, by its path (see
	// Path): for keys that an earlier version had.
	Renamed map[string]string
	// Hide reports whether the content of a string is a secret, which must not
	// be seen where an Error shows the line it stands on. key is the last one
	// before it on that line; empty if there is none.
	Hide func(key, content string) bool
	// Plain reports whether what stands under a key is never a secret: it is shown
	// even where the line of a secret is (see Source.SecretErrorf).
	Plain func(key string) bool
	// Texts are read in place of the files of these names, which need not be there:
	// what a file is to hold can be judged before it is written.
	Texts map[string][]byte

	objectOnly bool
}

// Parse reads text, in which objects may stand twice under one key and are
// merged, into what object points to. The error is an Errors.
func Parse(text string, object any) error {
	d := Decoder{DuplicateObjects: true}
	return d.Decode(strings.NewReader(text), object)
}

// Decode reads all of r into what object points to. Values that the text does
// not mention stay as they are. The error is an Errors with every problem, or
// what r failed with; object is then filled as far as it could be. A text
// without any value changes nothing. Where object has an any, numbers become
// float64, and json.Number if no float64 holds them.
func (d *Decoder) Decode(r io.Reader, object any) error {
	s, err := d.Read(r)
	if s == nil {
		return err
	}
	var text, all Errors
	if errors.As(err, &text) {
		all = append(all, text...)
	}
	switch err := d.DecodeSource(s, object); {
	case errors.As(err, &text):
		all = append(all, text...)
	case err != nil:
		return err
	}
	all.Sort()
	return all.errOrNil()
}

// maxErrors is how many problems of one text are reported.
const maxErrors = 200

// DecodeSource reads what Read or Merge returned into what object points to.
func (d *Decoder) DecodeSource(s *Source, object any) error {
	v := reflect.ValueOf(object)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("config: decode into %T, which is not a pointer to something", object)
	}
	if s.root == nil {
		return nil
	}
	dec := &decoding{Decoder: d, fields: make(map[reflect.Type]fields)}
	dec.value(s.root, v.Elem(), "")
	dec.errs.Sort()
	return dec.errs.errOrNil()
}

// decoding is one run of DecodeSource.
type decoding struct {
	*Decoder
	errs   Errors
	key    string // the last one on the way to what is decoded
	fields map[reflect.Type]fields
}

func (d *decoding) fieldsOf(t reflect.Type) fields {
	fs, ok := d.fields[t]
	if !ok {
		fs = fieldsOf(t)
		d.fields[t] = fs
	}
	return fs
}

func (d *decoding) fail(n *node, path, format string, args ...any) {
	d.report(n.file, n.start, path, fmt.Errorf(format, args...))
}

func (d *decoding) report(f *file, offset int, path string, err error) {
	if len(d.errs) == maxErrors {
		return
	}
	if path != "" {
		err = fmt.Errorf("%s: %w", path, err)
	}
	d.errs = append(d.errs, f.errorAt(offset, err))
}

func (d *decoding) mismatch(n *node, t reflect.Type, path string) {
	found := n.found()
	if n.kind == kindNumber && d.Hide != nil && d.Hide(d.key, n.text) {
		found = "a number"
	}
	d.fail(n, path, "found %s where %s should stand", found, wanted(t, n))
}

// value puts n into v, which can be set.
func (d *decoding) value(n *node, v reflect.Value, path string) {
	if n.kind == kindNull {
		switch v.Kind() { // as encoding/json does it: elsewhere null says nothing
		case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
			v.SetZero()
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path)
		return
	}
	if d.special(n, v, path) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice, reflect.Array:
		d.list(n, v, path)
	case reflect.Interface:
		if v.NumMethod() > 0 {
			d.fail(n, path, "a %v cannot be configured", v.Type())
			return
		}
		v.Set(reflect.ValueOf(n.plain()))
	default:
		d.scalar(n, v, path)
	}
}

// special deals with types that read themselves.
func (d *decoding) special(n *node, v reflect.Value, path string) bool {
	if read := readers[v.Type()]; read != nil {
		if n.kind != kindString {
			d.mismatch(n, v.Type(), path)
		} else if err := read(v, n.text); err != nil {
			d.fail(n, path, "%w", err)
		}
		return true
	}
	if !v.CanAddr() {
		return false
	}
	isText := n.kind == kindString || n.kind == kindNumber && isNumeric(v.Kind())
	switch u := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		if !isText && !isContainer(v.Kind()) {
			d.mismatch(n, v.Type(), path)
			return true
		}
		if !isText {
			return false
		}
		if err := u.UnmarshalText([]byte(n.text)); err != nil {
			d.fail(n, path, "%w", err)
		}
	case json.Unmarshaler:
		if err := u.UnmarshalJSON(n.appendJSON(nil)); err != nil {
			d.fail(n, path, "%w", err)
		}
	default:
		return false
	}
	return true
}

func isContainer(k reflect.Kind) bool {
	return k == reflect.Struct || k == reflect.Slice || k == reflect.Map || k == reflect.Array
}

func (d *decoding) structure(n *node, v reflect.Value, path string) {
	if n.kind != kindObject {
		d.mismatch(n, v.Type(), path)
		return
	}
	fields := d.fieldsOf(v.Type())
	for _, m := range n.members {
		at := childPath(path, m.key)
		f, ok := fields.find(m.key)
		if !ok {
			if !d.AllowUnknown {
				d.unknown(m, at, v.Type(), fields)
			}
			continue
		}
		d.key = m.key
		d.value(m.value, fieldByIndex(v, f.index), at)
	}
}

// fieldByIndex is Value.FieldByIndex that makes embedded pointers on its way.
func fieldByIndex(v reflect.Value, index []int) reflect.Value {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v
}

func (d *decoding) mapping(n *node, v reflect.Value, path string) {
	if n.kind != kindObject {
		d.mismatch(n, v.Type(), path)
		return
	}
	t := v.Type()
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(t, len(n.members)))
	}
	for _, m := range n.members {
		at := childPath(path, m.key)
		key := reflect.New(t.Key()).Elem()
		if err := mapKey(m.key, key); err != nil {
			d.report(m.file, m.start, at, err)
			continue
		}
		item := reflect.New(t.Elem()).Elem()
		d.key = m.key
		d.value(m.value, item, at)
		v.SetMapIndex(key, item)
	}
}

func mapKey(text string, key reflect.Value) error {
	if u, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if key.Kind() == reflect.String {
		key.SetString(text)
		return nil
	}
	n := &node{kind: kindNumber, text: text}
	return setScalar(n, key)
}

func (d *decoding) list(n *node, v reflect.Value, path string) {
	if n.kind != kindList {
		d.mismatch(n, v.Type(), path)
		return
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	} else if len(n.items) != v.Len() {
		d.fail(n, path, "found %d items where %d should stand", len(n.items), v.Len())
		return
	}
	for i, item := range n.items {
		d.value(item, v.Index(i), itemPath(path, i))
	}
}

func (d *decoding) scalar(n *node, v reflect.Value, path string) {
	err := setScalar(n, v)
	if errors.Is(err, errKind) {
		d.mismatch(n, v.Type(), path)
	} else if err != nil {
		d.fail(n, path, "%w", err)
	}
}
