package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// files writes name, text pairs into a new folder and returns the paths.
func files(t *testing.T, texts ...string) []string {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for i := 0; i < len(texts); i += 2 {
		name := filepath.Join(dir, texts[i])
		if err := os.WriteFile(name, []byte(texts[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func TestMerge(t *testing.T) {
	names := files(t,
		"10-base.conf", "{\n  \"server_name\": \"a\",\n  \"timeout\": \"1m\",\n  \"SMTP\": {\"greeting\": \"one\", \"max_message_size\": 5},\n  \"retry\": [\"1m\"],\n  \"count\": 4\n}",
		"20-more.conf", "# more\n{\n  \"server_name\": \"b\",\n  \"SMTP\": {\n    \"greeting\": \"two\"\n  },\n  \"retry\": [\"2m\", \"3m\"],\n  \"Aliases\": {\"a@b\": \"c\"},\n  \"count\": null\n}",
		"30-empty.conf", "# nothing\n")
	d := Decoder{}
	src, err := d.ReadFiles(names...)
	if err != nil {
		t.Fatal(err)
	}
	s := settings{Count: 99}
	if err := d.DecodeSource(src, &s); err != nil {
		t.Fatal(err)
	}
	if s.ServerName != "b" || s.Timeout != time.Minute || s.SMTP.Greet != "two" || s.SMTP.MaxSize != 5 || len(s.Retry) != 2 || s.Count != 99 {
		t.Errorf("got %+v", s)
	}
	if got := src.Files(); !reflect.DeepEqual(got, names) {
		t.Errorf("files %v", got)
	}
	want := Origins{
		"":                      {names[0], 1, 1},
		"server_name":           {names[1], 3, 3},
		"timeout":               {names[0], 3, 3},
		"SMTP":                  {names[1], 4, 3},
		"SMTP.greeting":         {names[1], 5, 5},
		"SMTP.max_message_size": {names[0], 4, 31},
		"retry":                 {names[1], 7, 3},
		"retry[0]":              {names[1], 7, 13},
		"retry[1]":              {names[1], 7, 19},
		"Aliases":               {names[1], 8, 3},
		"Aliases.\"a@b\"":       {names[1], 8, 15},
		"count":                 {names[1], 9, 3},
	}
	if got := src.Origins(); !reflect.DeepEqual(got, want) {
		t.Errorf("origins\n%v\nwant\n%v", got, want)
	}
	for _, steps := range [][]any{nil, {"SMTP"}, {"SMTP", "greeting"}, {"retry", 1}, {"Aliases", "a@b"}} {
		if at, ok := src.Where(steps...); !ok || at != want[Path(steps...)] {
			t.Errorf("Where(%v) = %v, %v", steps, at, ok)
		}
	}
	for _, steps := range [][]any{{"x"}, {"retry", 2}, {"SMTP", 0}, {"retry", "a"}} {
		if at, ok := src.Where(steps...); ok {
			t.Errorf("Where(%v) = %v", steps, at)
		}
	}
	for _, c := range []struct {
		steps []any
		has   bool
		where string
	}{
		{[]any{"SMTP", "max_message_size"}, true, names[0] + ":4:51"},
		{[]any{"SMTP", "idle"}, false, names[1] + ":4:3"},
		{[]any{"retry", 1}, true, names[1] + ":7:19"},
		{[]any{"retry", 7}, false, names[1] + ":7:3"},
		{[]any{"Aliases", "a@b"}, true, names[1] + ":8:22"},
		{[]any{"Aliases", "a@b", "x"}, false, names[1] + ":8:22"},
		{[]any{"retry", 1.5}, false, names[1] + ":7:3"},
		{nil, true, names[0] + ":1:1"},
	} {
		if got := src.Has(c.steps...); got != c.has {
			t.Errorf("Has(%v) = %v", c.steps, got)
		}
		if got, want := src.Scalar(c.steps...), c.has && c.steps != nil; got != want {
			t.Errorf("Scalar(%v) = %v", c.steps, got)
		}
		if e := src.Errorf(c.steps, "bad %d", 1); e.Brief() != c.where+": bad 1" {
			t.Errorf("Errorf(%v) = %s, want %s", c.steps, e.Brief(), c.where)
		}
	}
}

func TestKeyErrorf(t *testing.T) {
	d := Decoder{Name: "t"}
	src, err := d.Read(strings.NewReader(`{"a": {"b": 1}, "l": [5]}`))
	if err != nil {
		t.Fatal(err)
	}
	for want, steps := range map[string][]any{"t:1:8": {"a", "b"}, "t:1:2": {"a", "x"}, "t:1:23": {"l", 0}, "t:1:1": {"x"}} {
		if e := src.KeyErrorf(steps, "bad"); e.Position().String() != want {
			t.Errorf("KeyErrorf(%v) is at %v, want %s", steps, e.Position(), want)
		}
	}
}

func TestMergeLeavesSources(t *testing.T) {
	d := Decoder{Name: "x"}
	read := func(text string) *Source {
		s, err := d.Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := read(`{"SMTP": {"greeting": "a"}}`), read(`{"SMTP": {"greeting": "b", "max_message_size": 1}}`)
	Merge(a, b)
	var s settings
	if err := d.DecodeSource(a, &s); err != nil || s.SMTP.Greet != "a" || s.SMTP.MaxSize != 0 {
		t.Errorf("the first source changed: %+v, %v", s.SMTP, err)
	}
}

func TestReadFilesReportsAll(t *testing.T) {
	names := files(t, "a.conf", "{", "b.conf", "[]", "c.conf", `{"x" 1}`, "d.conf", "{}")
	_, err := new(Decoder).ReadFiles(names...)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 3 {
		t.Fatalf("got %v", err)
	}
	for i, e := range errs {
		if e.Name != names[i] {
			t.Errorf("problem %d is in %s", i, e.Name)
		}
	}
	_, err = new(Decoder).ReadFiles(append(names, names[0]+".missing")...)
	if !errors.Is(err, os.ErrNotExist) || !errors.As(err, new(*Error)) {
		t.Errorf("with a file missing: %v", err)
	}
}

func TestErrorfWithoutText(t *testing.T) {
	if e := Merge().Errorf([]any{"a"}, "bad"); e.Error() != "configuration: bad" {
		t.Errorf("no files: %s", e)
	}
	names := files(t, "a.conf", "")
	src, err := new(Decoder).ReadFiles(names...)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := src.Where(); ok {
		t.Error("an empty file has a place")
	}
	if src.Has("a") || src.Has() || len(src.Origins()) != 0 {
		t.Error("an empty file has values")
	}
	if e := src.Errorf([]any{"a"}, "bad"); e.Error() != names[0]+": bad" {
		t.Errorf("empty file: %s", e)
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct{ name, text, want string }{
		{"plain", "{\n  \"a\": 1\n  \"b\": 2\n}", "t:2:9: a comma is missing here\n      \"a\": 1\n            ^"},
		{"tabs", "{\n\t\"a\":\t5m\n}", "t:2:7: \"5m\" is not a number; put a text in quotes\n    \t\"a\":\t5m\n    \t    \t^"},
		{"CRLF", "{\r\n\"a\": 5m\r\n}", "t:2:6: \"5m\" is not a number; put a text in quotes\n    \"a\": 5m\n         ^"},
		{"control characters", "{\"a\x1b[31m\": 1}", "t:1:4: a control character in a string; write \\u001b\n    {\"a [31m\": 1}\n       ^"},
		{"wide", "{\"ä\": 5m}", "t:1:7: \"5m\" is not a number; put a text in quotes\n    {\"ä\": 5m}\n          ^"},
		{"long line, far", `{"` + long + `": 5m}`, "t:1:206: \"5m\" is not a number; put a text in quotes\n    ..." +
			strings.Repeat("x", 47) + `": 5m}` + "\n    " + strings.Repeat(" ", 53) + "^"},
		{"long line, near", `{5: "` + long + `"}`, "t:1:2: found \"5\" where a key in quotes should stand\n    {5: \"" +
			strings.Repeat("x", 95) + "...\n     ^"},
		{"end of file", "{\"a\": 1,\n", "t:2:1: the file ends where '}' at the end of the object should stand; the object was opened on line 1"},
		{"secret", `{"a": "$ecret", "$b": 5m}`, "t:1:23: \"5m\" is not a number; put a text in quotes\n    {\"a\": \"******\", \"$b\": 5m}\n                          ^"},
		{"secret by its key", `{"password": "x", "p": 5m}`, "t:1:24: \"5m\" is not a number; put a text in quotes\n    {\"password\": \"*\", \"p\": 5m}\n                           ^"},
		{"secret number", `{"password": 1234, "x": 12, "p": 5m}`, "t:1:34: \"5m\" is not a number; put a text in quotes\n    {\"password\": ****, \"x\": 12, \"p\": 5m}\n                                     ^"},
		{"secret without quotes", `{"password": hunter2, "p": 5}`, "t:1:14: found this where a value should stand; texts and keys stand in quotes\n    {\"password\": *******, \"p\": 5}\n                 ^"},
		{"a word with an underscore", `{"password": hunter_2, "p": 5}`, "t:1:14: found this where a value should stand; texts and keys stand in quotes\n    {\"password\": ********, \"p\": 5}\n                 ^"},
		{"dots", `{"password": 1.5.x, "p": 5}`, "t:1:14: this is not a number; put a text in quotes\n    {\"password\": *****, \"p\": 5}\n                 ^"},
		{"a line of all that is shown", `{"` + strings.Repeat("x", 88) + `": 5m}`, "t:1:94: \"5m\" is not a number; put a text in quotes\n    ..." +
			strings.Repeat("x", 47) + `": 5m}` + "\n    " + strings.Repeat(" ", 53) + "^"},
		{"half a secret", `{"a": "$ecret`, "t:1:7: this string is not closed on its line\n    {\"a\": \"******\n          ^"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decoder{Name: "t", Hide: func(key, s string) bool { return strings.HasPrefix(s, "$") || key == "password" }}
			var v any
			err := d.Decode(strings.NewReader(c.text), &v)
			if err == nil || err.Error() != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

func TestSecretErrorf(t *testing.T) {
	d := Decoder{Name: "t"}
	src, err := d.Read(strings.NewReader(`{"user": "me", "password": "hunter2"} # "x"`))
	if err != nil {
		t.Fatal(err)
	}
	want := "t:1:28: in clear\n    {\"user\": \"**\", \"password\": \"*******\"} # \"*\"\n                               ^"
	if e := src.SecretErrorf([]any{"password"}, "in clear"); e.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", e, want)
	}
}

func TestErrorsOrder(t *testing.T) {
	es := Errors{{Name: "b", Line: 1, Col: 1}, {Name: "a", Line: 2, Col: 1}, {Name: "a", Line: 1, Col: 9}, {Name: "a", Line: 1, Col: 3}}
	es.Sort()
	var got []string
	for _, e := range es {
		got = append(got, e.Position().String())
	}
	if want := "a:1:3 a:1:9 a:2:1 b:1:1"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	inner := errors.New("x")
	if err := error(Errors{{Err: inner}}); !errors.Is(err, inner) {
		t.Error("Errors does not unwrap")
	}
}

func TestPath(t *testing.T) {
	for want, steps := range map[string][]any{
		"":                           nil,
		"SMTP.max_size":              {"SMTP", "max_size"},
		"Listeners[0].address":       {"Listeners", 0, "address"},
		`Accounts."alice@x.y".quota`: {"Accounts", "alice@x.y", "quota"},
		`"".""`:                      {"", ""},
	} {
		if got := Path(steps...); got != want {
			t.Errorf("Path(%v) = %s, want %s", steps, got, want)
		}
	}
}

// TestTexts: a text in place of a file is read as the file would be, and a Source keeps what it was read from.
func TestTexts(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.conf"), filepath.Join(dir, "b.conf")
	if err := os.WriteFile(a, []byte(`{"n": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := Decoder{Texts: map[string][]byte{b: []byte(`{"n": 2}`)}}
	s, err := d.ReadFiles(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := s.Where("n"); !ok || at.File != b {
		t.Error(at, ok)
	}
	for name, want := range map[string]string{a: `{"n": 1}`, b: `{"n": 2}`} {
		if text, ok := s.Text(name); !ok || string(text) != want {
			t.Errorf("%s: %q %v", name, text, ok)
		}
	}
	if _, ok := s.Text("c.conf"); ok {
		t.Error("a text of no file")
	}
	if _, err := (&Decoder{Texts: map[string][]byte{b: []byte(`{`)}}).ReadFiles(b); err == nil || !strings.Contains(err.Error(), b) {
		t.Error("a wrong text:", err)
	}
}
