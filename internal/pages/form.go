package pages

import (
	"net/url"
	"strings"
)

// Form is what somebody has filled in, with what is wrong about it.
type Form struct {
	values url.Values
	wrong  map[string]string
}

// Value is a field's value without blanks around it.
func (f *Form) Value(field string) string { return strings.TrimSpace(f.values.Get(field)) }

// Secret is a field's value as it was written, with its blanks.
func (f *Form) Secret(field string) string { return f.values.Get(field) }

// Values are all values of a field, of boxes that were ticked.
func (f *Form) Values(field string) []string { return f.values[field] }

// Wrong refuses the form for a field's value; "" is the whole form. The page comes back with
// the reason beside the field, and nothing has changed.
func (f *Form) Wrong(field, why string) {
	if f.wrong == nil {
		f.wrong = make(map[string]string)
	}
	if f.wrong[field] == "" {
		f.wrong[field] = why
	}
}

// Problem is why a field's value was refused.
func (f *Form) Problem(field string) string { return f.wrong[field] }

// OK reports whether nothing is wrong.
func (f *Form) OK() bool { return len(f.wrong) == 0 }

// Ticked reports whether a box stands ticked: as it was sent, or as given where nothing was.
func (f *Form) Ticked(field string, given bool) bool {
	if f.values.Has("do") {
		return f.values.Has(field)
	}
	return given
}

// input is a field as its template shows it.
type input struct {
	Name, Label, Type, Value, Problem, Hint string
	Auto                                    string // autocomplete, for secrets
}

// field is an input of a form, of a type that HTML has, "textarea", or "current-password" or "new-password" as browsers know them
// apart; secrets are not sent back. given, if not empty, is the value that stands there unless something else
// was filled in.
func field(f *Form, name, label, kind string, given ...string) input {
	i := input{Name: name, Label: label, Type: kind, Problem: f.Problem(name)}
	switch kind {
	case "password":
		i.Auto = "off"
	case "current-password", "new-password":
		i.Type, i.Auto = "password", kind
	}
	if i.Type != "password" {
		i.Value = f.values.Get(name)
		if !f.values.Has(name) && len(given) > 0 {
			i.Value = given[0]
		}
	}
	if len(given) > 1 {
		i.Hint = given[1]
	}
	return i
}
