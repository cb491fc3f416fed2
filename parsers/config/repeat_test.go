package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/config"
)

// TestDuplicatesHideNothing: keys that stand twice leave a tree in which
// everything else is found.
func TestDuplicatesHideNothing(t *testing.T) {
	var to struct {
		A, B int
		C    struct{ D string }
	}
	err := config.Parse(`{"A": 1, "A": 2, "X": 3,
"B": "b", "C": {"D": "d", "D": "e"}}`, &to)
	var errs config.Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	var got []string
	for _, e := range errs {
		got = append(got, fmt.Sprintf("%d:%d %.9s", e.Line, e.Col, e.Err))
	}
	if want := `1:10 "A" stand, 1:18 X: unknow, 2:6 B: found , 2:27 "D" stand`; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	if to.A != 1 || to.C.D != "d" {
		t.Errorf("the first ones do not count: %+v", to)
	}
}

// TestReadFilesInPart: what is wrong in one file leaves those that can be read.
func TestReadFilesInPart(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for i, text := range []string{`{"a": 1}`, `{"b": `, `{"c": 2, "c": 3}`, `[]`, ``} {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	names = append(names, filepath.Join(dir, "none"))
	var d config.Decoder
	s, err := d.ReadFiles(names[:5]...)
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) != 3 {
		t.Errorf("errors: %v", err)
	}
	if !s.Has("a") || !s.Has("c") || strings.Join(s.Files(), " ") != strings.Join([]string{names[0], names[2], names[4]}, " ") {
		t.Errorf("read: %v", s.Files())
	}
	s, err = d.ReadFiles(names...)
	if !errors.Is(err, os.ErrNotExist) || !s.Has("a") || !strings.Contains(err.Error(), "should stand") {
		t.Errorf("with one that is not there: %v", err)
	}
}

// TestRepeats: objects that are merged within a text, and what one text says in
// place of another, with both places.
func TestRepeats(t *testing.T) {
	d := config.Decoder{DuplicateObjects: true, Name: "a"}
	a, err := d.Read(strings.NewReader("{\"o\": {\"x\": 1, \"in\": {}},\n\"o\": {\"y\": 2, \"in\": {}}, \"l\": [{\"m\": {}, \"m\": {}}], \"n\": 1, \"was\": null}"))
	if err != nil {
		t.Fatal(err)
	}
	d.Name = "b"
	b, err := d.Read(strings.NewReader(`{"o": {"x": 3, "z": 4}, "l": [], "n": null, "was": 5}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range config.Merge(a, b).Repeats() {
		got = append(got, fmt.Sprintf("%s %v %v", config.Path(r.Steps...), r.First, r.Second))
	}
	want := []string{"o a:1:2 a:2:1", "o.in a:1:16 a:2:15", "l[0].m a:2:33 a:2:42", "o.x a:1:8 b:1:8", "l a:2:26 b:1:25"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// What takes the place of an object, or is one in the place of something else, repeats it as well.
	for _, c := range [][3]string{{`{"o": {"x": 1}}`, `{"o": 5}`, "o"}, {`{"o": 5}`, `{"o": {"x": 1}}`, "o"}, {`{"o": {"x": {}}}`, `{"o": {"x": []}}`, "o.x"}, {`{"o": {}}`, `{"o": {}}`, ""}, {`{"o": {}}`, `{"o": null}`, ""}} {
		var both []*config.Source
		for _, text := range c[:2] {
			s, err := (&config.Decoder{}).Read(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, s)
		}
		at := ""
		for _, r := range config.Merge(both...).Repeats() {
			at += config.Path(r.Steps...)
		}
		if at != c[2] {
			t.Errorf("%s under %s: %q", c[0], c[1], at)
		}
	}
	again := a.Repeats()
	if len(again) != 3 {
		t.Fatalf("merging changed a source: %v", again)
	}
	first := again[0].Second
	if again[0].Second.Line++; a.Repeats()[0].Second != first {
		t.Error("what was returned is the source's own")
	}
}

// TestUnclosed: what has no end is named by the line it was opened on, which the
// indentation gives away.
func TestUnclosed(t *testing.T) {
	for text, want := range map[string]string{
		"{\n  \"a\": {\n    \"b\": 1\n}\n":                 "5:1: the file ends where '}' at the end of the object should stand; the object was opened on line 1; what was opened on line 2 seems to have no end",
		"{\n  \"a\": {\n    \"b\": 1\n  },\n":              "5:1: the file ends where '}' at the end of the object should stand; the object was opened on line 1",
		"{\n\t\"a\": [\n\t\t[1,\n\t\t2\n\t],\n}":           "6:1: found \"}\" where a comma or ']' should stand; the list was opened on line 2; what was opened on line 3 seems to have no end",
		"{\"a\": {\n\"b\": [1, 2,\n3\n":                    "4:1: the file ends where ']' at the end of the list should stand; the list was opened on line 2",
		"/* a /* b */ c */ {}":                             "1:14: found \"c\" where a value should stand; comments do not nest: the one from line 1 has ended before this",
		"{} /* a\n/* b */ */":                              "2:9: found \"*\" where the end of the file should stand; comments do not nest: the one from line 1 has ended before this",
		"{ /* a /* b */ c */ \"k\": 1}":                    "1:16: found \"c\" where a key in quotes should stand; comments do not nest: the one from line 1 has ended before this",
		"{ /* a */ c: 1}":                                  "1:11: found \"c\" where a key in quotes should stand; texts and keys stand in quotes",
		"{\n/* a /* b */ \"k\": 1,\n\"l\": 2 */ \"m\": 3}": "3:8: found \"*\" where a comma or '}' should stand; comments do not nest: the one from line 2 has ended before this",
		"{ \"/* /*\": 1 */ }":                              "1:14: found \"*\" where a comma or '}' should stand",
		"{ // a /* /*\n \"k\": 1 */ }":                     "2:9: found \"*\" where a comma or '}' should stand",
	} {
		var v any
		err := config.Parse(text, &v)
		if err == nil {
			t.Errorf("%q is read", text)
			continue
		}
		first, _, _ := strings.Cut(err.Error(), "\n")
		if first = strings.TrimPrefix(first, "configuration:"); !strings.HasPrefix(first, want) {
			t.Errorf("%q\n got %s\nwant %s", text, first, want)
		}
	}
}

// TestPlainKeys: on the line of a secret, what stands under plain keys is shown.
func TestPlainKeys(t *testing.T) {
	d := config.Decoder{Plain: func(key string) bool { return key == "host" }}
	s, err := d.Read(strings.NewReader(`{"host": "a.example", "name": "alice", "secret": "hunter2"}`))
	if err != nil {
		t.Fatal(err)
	}
	text := s.SecretErrorf([]any{"secret"}, "wrong").Error()
	if !strings.Contains(text, `{"host": "a.example", "name": "*****", "secret": "*******"}`) {
		t.Errorf("shown: %s", text)
	}
}
