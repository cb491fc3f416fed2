package config

import (
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// field is a place for a value in a struct.
type field struct {
	name   string
	index  []int
	tagged bool
	typ    reflect.Type
}

type fields []field

// fieldsOf lists the fields of a struct as encoding/json sees them: by the
// name in a `json:"..."` tag or else their own, those of embedded structs
// among them, "-" and unexported ones not.
func fieldsOf(t reflect.Type) fields { return fieldsBelow(t, 0) }

// maxEmbedding ends the search in a struct that embeds a pointer to itself.
const maxEmbedding = 8

func fieldsBelow(t reflect.Type, depth int) fields {
	var fs fields
	if depth > maxEmbedding {
		return nil
	}
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		inner := sf.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case tag == "-":
		case sf.Anonymous && tag == "" && inner.Kind() == reflect.Struct && (sf.IsExported() || sf.Type.Kind() == reflect.Struct):
			for _, f := range fieldsBelow(inner, depth+1) {
				f.index = append([]int{i}, f.index...)
				fs = append(fs, f)
			}
		case !sf.IsExported():
		case tag != "":
			fs = append(fs, field{tag, []int{i}, true, sf.Type})
		default:
			fs = append(fs, field{sf.Name, []int{i}, false, sf.Type})
		}
	}
	// An outer field comes before an embedded one of the same name.
	sort.SliceStable(fs, func(a, b int) bool { return len(fs[a].index) < len(fs[b].index) })
	return fs
}

// find looks a key up. The name of a field without a tag may be written in any
// case, as encoding/json has it.
func (fs fields) find(key string) (field, bool) {
	for _, f := range fs {
		if f.name == key {
			return f, true
		}
	}
	for _, f := range fs {
		if !f.tagged && strings.EqualFold(f.name, key) {
			return f, true
		}
	}
	return field{}, false
}

// mostNames is how many keys of an object an error lists: more would hide what it says.
const mostNames = 16

// unknown reports a key that there is no field for, with the best guess at
// what was meant: a key known to have been renamed, one that is spelt nearly
// so, or one of that name inside or outside this object; else with all that an inner object has.
func (d *decoding) unknown(m *member, path string, t reflect.Type, fs fields) {
	if len(d.errs) == maxErrors {
		return
	}
	hint := ""
	if now := d.Renamed[path]; now != "" {
		hint = "; " + now
	} else if name := Nearest(m.key, fs.names()); name != "" {
		hint = fmt.Sprintf("; did you mean %q?", name)
	} else if inside := within(m.key, t); inside != "" {
		hint = fmt.Sprintf("; did you mean %s?", inside)
	} else if names := fs.names(); path != m.key && len(names) > 0 && len(names) <= mostNames {
		hint = "; there are " + strings.Join(names, ", ")
	}
	d.report(m.file, m.start, path, fmt.Errorf("unknown key%s", hint))
}

// Nearest returns the name that word was probably meant to be, or nothing if
// none is near: for a "did you mean" of one's own.
func Nearest(word string, names []string) string {
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, name := range names {
		if simple(name) == simple(word) {
			return name
		}
		if d := distance(strings.ToLower(word), strings.ToLower(name), bestDistance); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

func (fs fields) names() []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return names
}

// simple makes MaxSize, max_size and max-size the same.
func simple(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// within looks for a key of that name in the objects below t.
func within(key string, t reflect.Type) string {
	for _, f := range fieldsOf(t) {
		inner := f.typ
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct {
			continue
		}
		if _, ok := fieldsOf(inner).find(key); ok {
			return childPath(f.name, key)
		}
	}
	return ""
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to make a into b (optimal string alignment), or limit if it
// is not below limit.
func distance(a, b string, limit int) int {
	const longest = 64
	if len(a) > longest || len(b) > longest || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var rows [3][longest + 1]int
	before, last, row := rows[0][:], rows[1][:], rows[2][:]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
