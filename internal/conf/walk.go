package conf

import (
	"cmp"
	"reflect"
	"slices"
)

// setting is one value within Settings.
type setting struct {
	steps []any         // the way to it, as config.Path takes it
	value reflect.Value // can be set, unless it is within a map of values
	tag   reflect.StructTag
}

// eachSetting calls f for every value within v that is not made of others:
// texts, numbers, lists of them. Maps go in the order of their keys.
func eachSetting(v reflect.Value, f func(setting)) {
	w := walker{f, make(map[reflect.Type][]reflect.StructField)}
	w.descend(setting{value: v})
}

type walker struct {
	f      func(setting)
	fields map[reflect.Type][]reflect.StructField // of the types seen
}

func (w *walker) descend(s setting) {
	v := s.value
	switch {
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			s.value = v.Elem()
			w.descend(s)
		}
	case isObject(v.Type()):
		fields := w.fields[v.Type()]
		if fields == nil {
			fields = fieldsOf(v.Type())
			w.fields[v.Type()] = fields
		}
		for _, field := range fields {
			w.descend(setting{s.step(keyOf(field)), v.FieldByIndex(field.Index), field.Tag})
		}
	case v.Kind() == reflect.Map:
		for _, key := range sortedKeys(v) {
			w.descend(setting{s.step(key.String()), v.MapIndex(key), ""})
		}
	case v.Kind() == reflect.Slice && isObject(v.Type().Elem()):
		for i := range v.Len() {
			w.descend(setting{s.step(i), v.Index(i), ""})
		}
	default:
		w.f(s)
	}
}

func (s setting) step(to any) []any { return append(slices.Clone(s.steps), to) }

// isObject reports whether a type is written as an object with named keys.
func isObject(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[Settings]().PkgPath()
}

func fieldsOf(t reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return !f.IsExported() })
}

// keyOf is the key of a field in a configuration.
func keyOf(f reflect.StructField) string { return cmp.Or(f.Tag.Get("json"), f.Name) }

// sortedKeys orders the keys of a map, which are strings.
func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	return keys
}
