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

// Raw is a field's value as it was sent: a password may have blanks around it.
func (f *Form) Raw(field string) string { return f.values.Get(field) }

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

// input is a field as its template shows it.
type input struct {
	Name, Label, Type, Value, Problem, Hint string
}

// field is an input of a form; secrets are not sent back. given, if not empty, is the value that stands there unless something else
// was filled in.
func field(f *Form, name, label, kind string, given ...string) input {
	i := input{Name: name, Label: label, Type: kind, Problem: f.Problem(name)}
	if kind != "password" {
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
