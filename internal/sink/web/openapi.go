package web

import (
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// operation is one thing that the API does: who does it, and what the description says
// of it.
type operation struct {
	pattern string // of a ServeMux
	handle  http.HandlerFunc
	says    string
	params  []string // of the query, "name: what it says"
	in, out any      // values of the types that are read and answered; nil: none, or no JSON
	code    int      // of success; 0 is 200
}

// object is a piece of the description.
type object map[string]any

// describe answers the description of the API (OpenAPI 3.0), made of the table that
// is served.
func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	d := &description{schemas: object{}}
	paths := object{}
	all := slices.Concat(s.version1(), s.mailhog(), s.inboxes())
	for _, o := range all {
		if o.in != nil {
			d.schema(reflect.TypeOf(o.in))
		}
	}
	d.answers = true
	for _, o := range all {
		method, path, _ := strings.Cut(o.pattern, " ")
		entry, _ := paths[path].(object)
		if entry == nil {
			entry = object{}
			paths[path] = entry
		}
		entry[strings.ToLower(method)] = d.operation(method, path, &o)
	}
	answer(w, object{
		"openapi":    "3.0.3",
		"info":       object{"title": "Postrider sink", "version": s.Version, "description": "Below /inboxes/{inbox}/ everything under /api/ is served once more, for that inbox alone."},
		"servers":    []object{{"url": strings.TrimSuffix(s.root(), "/")}},
		"paths":      paths,
		"components": object{"schemas": d.schemas},
	})
}

// description collects the schemas of types that have names.
type description struct {
	schemas object
	// answers says that what comes now is written by this server: all members are there.
	answers bool
}

var inPath = regexp.MustCompile(`\{(\w+)\}`)

func (d *description) operation(method, path string, o *operation) object {
	params := []object{}
	for _, m := range inPath.FindAllStringSubmatch(path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range o.params {
		name, says, _ := strings.Cut(p, ": ")
		params = append(params, object{"name": name, "in": "query", "description": says, "schema": object{"type": "string"}})
	}
	code := o.code
	if code == 0 {
		code = http.StatusOK
	}
	success := object{"description": "done"}
	if o.out != nil {
		success["content"] = object{"application/json": object{"schema": d.schema(reflect.TypeOf(o.out))}}
	}
	v := object{
		"summary": o.says, "operationId": operationID(method, path), "parameters": params,
		"responses": object{strconv.Itoa(code): success, "400": object{"description": "a parameter or field cannot be read; the text says which"}},
	}
	if o.in != nil {
		v["requestBody"] = object{"content": object{"application/json": object{"schema": d.schema(reflect.TypeOf(o.in))}}}
	}
	return v
}

func operationID(method, path string) string {
	return strings.ToLower(method) + strings.NewReplacer("/", "_", "{", "", "}", "", "-", "_").Replace(path)
}

// schema describes a type; one with a name by a reference.
func (d *description) schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[moment]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return d.members(t)
		}
		if _, known := d.schemas[t.Name()]; !known {
			d.schemas[t.Name()] = object{} // a type may hold itself
			d.schemas[t.Name()] = d.members(t)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	return object{"type": "integer"}
}

func (d *description) members(t reflect.Type) object {
	members, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		name, omit, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		members[name] = d.schema(f.Type)
		if d.answers && omit == "" && f.Type.Kind() != reflect.Pointer {
			required = append(required, name)
		}
	}
	v := object{"type": "object", "properties": members}
	if len(required) > 0 {
		v["required"] = required
	}
	return v
}
