package conf

import (
	"reflect"
	"strings"
)

// Entry is one setting of the reference, for whoever shows it in another form
// than Reference does.
type Entry struct {
	// Path is where it stands, "SMTP.max_hops"; NAME stands for any key of a map,
	// [] for any element of a list.
	Path string
	// Kind is what is written there, in a user's words.
	Kind string
	// Default is what holds if it is not written, as it would be written; empty
	// for objects, and for the members of lists and maps.
	Default string
	// Text is the setting's comment, with its bounds.
	Text string
}

// About is what the reference says of configurations as such.
func About() string {
	var b strings.Builder
	for line := range strings.Lines(referenceHead) {
		b.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "//"), " "))
	}
	return b.String()
}

// Entries are all settings in the order of the reference.
func Entries() ([]Entry, error) {
	manual, err := readManual()
	if err != nil {
		return nil, err
	}
	e := &entries{manual: manual}
	e.object(reflect.ValueOf(New()).Elem(), "")
	return e.all, nil
}

type entries struct {
	all    []Entry
	manual map[string]string
}

func (e *entries) object(v reflect.Value, prefix string) {
	for _, f := range fieldsOf(v.Type()) {
		value, path := v.FieldByIndex(f.Index), prefix+keyOf(f)
		switch item := itemType(f.Type); {
		case isObject(f.Type):
			e.add(v.Type(), f, path, "")
			e.object(value, path+".")
		case item != nil && f.Type.Kind() == reflect.Map:
			e.add(v.Type(), f, path, "")
			e.members(item, path+".NAME.")
		case item != nil:
			e.add(v.Type(), f, path, "")
			e.members(item, path+"[].")
		case value.Kind() == reflect.Map:
			e.add(v.Type(), f, path, "")
		default:
			e.add(v.Type(), f, path, render(value))
		}
	}
}

// members are the fields of objects that a list or a map holds.
func (e *entries) members(t reflect.Type, prefix string) {
	for _, f := range fieldsOf(t) {
		e.add(t, f, prefix+keyOf(f), "")
		if isObject(f.Type) && f.Type.Kind() == reflect.Pointer {
			e.members(f.Type.Elem(), prefix+keyOf(f)+".")
		}
	}
}

func (e *entries) add(t reflect.Type, f reflect.StructField, path, preset string) {
	text := strings.TrimSpace(e.manual[t.Name()+"."+f.Name] + "\n" + rulesText(f.Tag))
	if preset == `""` || preset == "[]" {
		preset = ""
	}
	e.all = append(e.all, Entry{Path: path, Kind: kindOf(f.Type), Default: preset, Text: text})
}
