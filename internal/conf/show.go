package conf

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Show prints the settings in force, secrets as stars, and behind each value
// where it came from: a place in a file, "default", or what it was derived
// from.
func (s *Settings) Show(w io.Writer) error { return s.show(w, false) }

// ShowChanged is Show without what is as it is by default.
func (s *Settings) ShowChanged(w io.Writer) error { return s.show(w, true) }

func (s *Settings) show(w io.Writer, changed bool) error {
	p := &shower{Settings: s, origins: s.text().Origins(), changed: changed}
	p.b.WriteString("{\n")
	p.value(reflect.ValueOf(s).Elem(), nil, "    ", false)
	p.b.WriteString("}\n")
	_, err := io.WriteString(w, p.b.String())
	return err
}

type shower struct {
	*Settings
	b       strings.Builder
	origins config.Origins
	changed bool // leave out what is as it is by default
}

// value prints the members of an object or a map. In those of lists and maps
// what was not set is left out.
func (p *shower) value(v reflect.Value, steps []any, indent string, brief bool) {
	if v.Kind() == reflect.Map {
		for _, key := range sortedKeys(v) {
			p.member(quote(key.String())+": ", v.MapIndex(key), append(steps[:len(steps):len(steps)], key.String()), indent, true)
		}
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		value := v.FieldByIndex(f.Index)
		if brief && value.IsZero() {
			continue
		}
		p.member(quote(keyOf(f))+": ", value, append(steps[:len(steps):len(steps)], keyOf(f)), indent, brief)
	}
}

func (p *shower) member(key string, v reflect.Value, steps []any, indent string, brief bool) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch {
	case p.changed && !p.hasChanged(steps):
	case v.Kind() == reflect.Map && v.Len() == 0:
		fmt.Fprintf(&p.b, "%s%s{},\n", indent, key)
	case isObject(v.Type()), v.Kind() == reflect.Map:
		fmt.Fprintf(&p.b, "%s%s{\n", indent, key)
		p.value(v, steps, indent+"    ", brief)
		fmt.Fprintf(&p.b, "%s},\n", indent)
	case v.Kind() == reflect.Slice && isObject(v.Type().Elem()):
		fmt.Fprintf(&p.b, "%s%s[ // %s\n", indent, key, p.origin(steps))
		for i := range v.Len() {
			p.member("", v.Index(i), append(steps[:len(steps):len(steps)], i), indent+"    ", true)
		}
		fmt.Fprintf(&p.b, "%s],\n", indent)
	default:
		fmt.Fprintf(&p.b, "%s%s%s, // %s\n", indent, key, render(v), p.origin(steps))
	}
}

// hasChanged reports whether a value, or one within it, is not as by default.
func (p *shower) hasChanged(steps []any) bool {
	path := config.Path(steps...)
	if p.origin(steps) != byDefault {
		return true
	}
	for at := range p.origins {
		if rest, ok := strings.CutPrefix(at, path); ok && rest != "" && (rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// byDefault is where a value came from that no file has.
const byDefault = "default"

// origin says where a value came from.
func (s *Settings) origin(steps []any) string {
	at, ok := s.text().Where(steps...)
	if !ok && len(steps) > 0 && steps[len(steps)-1] == "password" { // an account that is only its password
		at, ok = s.text().Where(steps[:len(steps)-1]...)
	}
	switch note := s.notes[config.Path(steps...)]; {
	case note != "" && ok:
		return note + ", " + at.String()
	case note != "":
		return note
	case ok:
		return at.String()
	}
	return byDefault
}
