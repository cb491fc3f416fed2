package conf

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

const referenceHead = `// Postrider: every setting, and the value that it has if it is not given.
//
// A configuration is a folder of *.conf files, read in the order of their names
// and merged: objects are merged, of anything else the last one counts. They are
// JSON with comments (#, // and /* */) and may have a comma after a last element.
// Durations are written like "30s", "5m", "2h", "5d", sizes like "50MB" or
// "64KiB", networks like "10.0.0.0/8". Where a secret stands, "env:NAME" takes it
// from the environment. A file that holds secrets must not be open to others.
`

// Reference prints the manual: a .conf file with every setting at its default,
// explained by the comments of the struct. With keys of the top level, it is
// these alone.
func Reference(w io.Writer, keys ...string) error {
	manual, err := readManual()
	if err != nil {
		return err
	}
	for _, key := range keys {
		if all := ReferenceKeys(); !slices.Contains(all, key) {
			hint := ""
			if near := config.Nearest(key, all); near != "" {
				hint = fmt.Sprintf("; did you mean %s?", near)
			}
			return fmt.Errorf("there is no setting %q on the top level%s", key, hint)
		}
	}
	p := &printer{manual: manual, only: keys}
	if len(keys) == 0 {
		p.b.WriteString(referenceHead)
	}
	p.b.WriteString("{\n")
	p.section(reflect.ValueOf(New()).Elem(), "    ")
	p.b.WriteString("}\n")
	_, err = io.WriteString(w, p.b.String())
	return err
}

// ReferenceKeys are the keys of the top level, in the order of the reference.
func ReferenceKeys() []string {
	var keys []string
	for _, f := range fieldsOf(reflect.TypeFor[Settings]()) {
		keys = append(keys, keyOf(f))
	}
	return keys
}

// printer writes settings as a .conf file.
type printer struct {
	b      strings.Builder
	manual map[string]string
	only   []string // keys of the top level; none means all
}

// section prints the fields of v, each below its comment.
func (p *printer) section(v reflect.Value, indent string) {
	first := true
	for _, f := range fieldsOf(v.Type()) {
		if _, top := v.Interface().(Settings); top && len(p.only) > 0 && !slices.Contains(p.only, keyOf(f)) {
			continue
		}
		if !first {
			p.b.WriteByte('\n')
		}
		first = false
		p.explain(v.Type(), f, indent+"// ")
		value := v.FieldByIndex(f.Index)
		key := quote(keyOf(f))
		switch item := itemType(f.Type); {
		case isObject(f.Type):
			fmt.Fprintf(&p.b, "%s%s: {\n", indent, key)
			p.section(value, indent+"    ")
			fmt.Fprintf(&p.b, "%s},\n", indent)
		case item != nil:
			fmt.Fprintf(&p.b, "%s//\n%s// Each is an object with:\n", indent, indent)
			p.fields(item, indent+"//   ")
		case value.Kind() == reflect.Map:
			fmt.Fprintf(&p.b, "%s%s: {},\n", indent, key)
		default:
			fmt.Fprintf(&p.b, "%s%s: %s,\n", indent, key, render(value))
		}
	}
}

// fields explains the fields of objects that a list or a map holds.
func (p *printer) fields(t reflect.Type, indent string) {
	for _, f := range fieldsOf(t) {
		fmt.Fprintf(&p.b, "%s\n%s%s (%s)\n", strings.TrimRight(indent, " "), indent, quote(keyOf(f)), kindOf(f.Type))
		p.explain(t, f, indent+"    ")
		if isObject(f.Type) {
			p.fields(f.Type.Elem(), indent+"    ")
		}
	}
}

// explain prints the comment of a field of t, and what its tag says.
func (p *printer) explain(t reflect.Type, f reflect.StructField, prefix string) {
	p.comment(p.manual[t.Name()+"."+f.Name], prefix)
	if rules := rulesText(f.Tag); rules != "" {
		p.comment(rules, prefix)
	}
}

func (p *printer) comment(text, prefix string) {
	for line := range strings.Lines(text + "\n") {
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "    ")
		p.b.WriteString(strings.TrimRight(prefix+line, " ") + "\n")
	}
}

// itemType returns the type of the objects in a list or map, or nil.
func itemType(t reflect.Type) reflect.Type {
	if t.Kind() != reflect.Map && t.Kind() != reflect.Slice || !isObject(t.Elem()) {
		return nil
	}
	if t = t.Elem(); t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// kindOf names a type in a user's words.
func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[config.Size]():
		return "size"
	case reflect.TypeFor[Quota]():
		return `size or "none"`
	case reflect.TypeFor[netip.Prefix]():
		return "network"
	case reflect.TypeFor[netip.Addr]():
		return "IP address"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Slice:
		if t == reflect.TypeFor[Targets]() {
			return "text or list of texts"
		}
		return "list of " + kindOf(t.Elem()) + "s"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return "object"
	}
	return "text"
}

// render writes a value that is not made of objects.
func render(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return quote(config.FormatDuration(x))
	case slog.Level:
		return quote(strings.ToLower(x.String()))
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			text = []byte(err.Error())
		}
		return quote(string(text))
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = render(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return quote(v.String())
}

// quote writes a JSON string without the escapes that only HTML needs.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // a string cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}
