package conf

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/config"
)

// The manual says what holds where nothing is said: it decodes to New().
func TestReferenceIsDefaults(t *testing.T) {
	var b bytes.Buffer
	if err := Reference(&b); err != nil {
		t.Fatal(err)
	}
	got := &Settings{}
	d := config.Decoder{Name: "reference"}
	if err := d.Decode(bytes.NewReader(b.Bytes()), got); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	want := New()
	forgetEmpty(reflect.ValueOf(got).Elem())
	forgetEmpty(reflect.ValueOf(want).Elem())
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if name := os.Getenv("REFERENCE_OUT"); name != "" {
		os.WriteFile(name, b.Bytes(), 0o644)
	}
}

func TestReferenceOfKeys(t *testing.T) {
	var b bytes.Buffer
	if err := Reference(&b, "Admin", "server_name"); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.HasPrefix(text, "{\n    // The name this server goes by") || !strings.Contains(text, "\n\n    // The control socket") ||
		strings.Contains(text, "data_dir\":") || !strings.Contains(text, `"socket": "",`) {
		t.Errorf("got\n%s", text)
	}
	if err := Reference(&b, "SNTP"); err == nil || !strings.Contains(err.Error(), "did you mean SMTP?") {
		t.Errorf("a key that is not there: %v", err)
	}
}

// forgetEmpty makes empty lists and maps nil.
func forgetEmpty(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		switch field := v.FieldByIndex(f.Index); field.Kind() {
		case reflect.Struct:
			if isObject(field.Type()) {
				forgetEmpty(field)
			}
		case reflect.Slice, reflect.Map:
			if field.Len() == 0 {
				field.SetZero()
			}
		}
	}
}

// Every setting is explained, in lines that fit a terminal.
func TestManualIsComplete(t *testing.T) {
	manual, err := readManual()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[reflect.Type]bool)
	var visit func(reflect.Type)
	visit = func(t2 reflect.Type) {
		for t2.Kind() == reflect.Pointer || t2.Kind() == reflect.Slice || t2.Kind() == reflect.Map {
			t2 = t2.Elem()
		}
		if !isObject(t2) || seen[t2] {
			return
		}
		seen[t2] = true
		if manual[t2.Name()] == "" {
			t.Errorf("%s is not explained", t2.Name())
		}
		for _, f := range fieldsOf(t2) {
			if manual[t2.Name()+"."+f.Name] == "" {
				t.Errorf("%s.%s is not explained", t2.Name(), f.Name)
			}
			visit(f.Type)
		}
	}
	visit(reflect.TypeFor[Settings]())
	var b bytes.Buffer
	if err := Reference(&b); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(b.String(), "\n") {
		if len(line) > 110 {
			t.Errorf("line %d is %d octets long: %s", i+1, len(line), line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("line %d ends in blanks", i+1)
		}
	}
}
