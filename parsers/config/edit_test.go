package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		name, src string
		path      string
		value     any
		want      string
	}{
		{"replace", `{"a": 1, "b": 2} # end`, "a", 7, `{"a": 7, "b": 2} # end`},
		{"replace keeps comments", "{\n  // one\n  \"a\": 1, # x\n  \"b\": \"two\" /* y */\n}\n", "b", "three",
			"{\n  // one\n  \"a\": 1, # x\n  \"b\": \"three\" /* y */\n}\n"},
		{"add on one line", `{"a": 1}`, "b", true, `{"a": 1, "b": true}`},
		{"add on one line with trailing comma", `{"a": 1,}`, "b", true, `{"a": 1, "b": true,}`},
		{"add on its own line", "{\n\t\"a\": 1 // x\n}\n", "b", "y", "{\n\t\"a\": 1, // x\n\t\"b\": \"y\"\n}\n"},
		{"add after a trailing comma", "{\n  \"a\": 1, // x\n  // \"z\": 3,\n}\n", "b", "y",
			"{\n  \"a\": 1, // x\n  // \"z\": 3,\n  \"b\": \"y\",\n}\n"},
		{"add into an empty object", "{\n    \"A\": {}\n}", "A.b", 1, "{\n    \"A\": {\n        \"b\": 1\n    }\n}"},
		{"add into an object with a comment only", "{\n    \"A\": {\n        # none yet\n    },\n}\n", "A.b", 1,
			"{\n    \"A\": {\n        # none yet\n        \"b\": 1\n    },\n}\n"},
		{"add objects on the way", "{\n    \"s\": 1,\n}\n", "A.b.c", "d",
			"{\n    \"s\": 1,\n    \"A\": {\n        \"b\": {\n            \"c\": \"d\"\n        }\n    },\n}\n"},
		{"replace null by objects", `{"A": null}`, "A.b", 1, "{\"A\": {\n    \"b\": 1\n}}"},
		{"add an object", "{\n  \"x\": {\n    \"a\": 1\n  }\n}\n", "x.b", map[string]any{"c": []int{1, 2}},
			"{\n  \"x\": {\n    \"a\": 1,\n    \"b\": {\n      \"c\": [\n        1,\n        2\n      ]\n    }\n  }\n}\n"},
		{"CRLF", "{\r\n  \"a\": 1\r\n}\r\n", "b", 2, "{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}\r\n"},
		{"empty", "", "a", 1, "{\n    \"a\": 1\n}\n"},
		{"comments only", "# users", "a.b", 1, "# users\n{\n    \"a\": {\n        \"b\": 1\n    }\n}\n"},
		{"byte order mark", "\uFEFF{\n\"a\": 1\n}", "a", 2, "\uFEFF{\n\"a\": 2\n}"},
		{"byte order mark only", "\uFEFF", "a", 2, "\uFEFF{\n    \"a\": 2\n}\n"},
		{"item of a list", `{"l": [{"a": 1}, {"a": 2}]}`, "l.1.a", 3, `{"l": [{"a": 1}, {"a": 3}]}`},
		{"behind the last of a list", `{"l": [1]}`, "l.1", 2, `{"l": [1, 2]}`},
		{"behind the last of a list in lines", "{\n  \"l\": [\n    {\"a\": 1}, // x\n  ],\n}\n", "l.1", "y", "{\n  \"l\": [\n    {\"a\": 1}, // x\n    \"y\",\n  ],\n}\n"},
		{"first of a list", `{"l": []}`, "l.0.a", 1, "{\"l\": [\n    {\n        \"a\": 1\n    }\n]}"},
		{"merged object", "{\"P\": {\"a\": 1}, // x\n \"P\": {\"b\": 2}}", "P.b", 3, "{\"P\": {\"a\": 1}, // x\n \"P\": {\"b\": 3}}"},
		{"add to merged object", "{\"P\": {\"a\": 1}, // x\n \"P\": {\"b\": 2}}", "P.c", 3,
			"{\"P\": {\"a\": 1, \"c\": 3}, // x\n \"P\": {\"b\": 2}}"},
		{"replace a merged object", "{\"P\": {\"a\": 1}, // x\n \"Q\": 1, \"P\": {\"b\": 2}}", "P", 3, "{\"P\": 3, // x\n \"Q\": 1}"},
		{"replace an object merged within merged ones", `{"P": {"a": {}}, "P": {"a": {"b": 1}, "c": 2}}`, "P.a", 3, `{"P": {"a": 3}, "P": {"c": 2}}`},
		{"comment between value and comma", "{\"a\": 1 /* , */ , }", "b", 2, "{\"a\": 1 /* , */ , \"b\": 2, }"},
		{"no HTML escapes", `{}`, "a", "<&>", "{\n    \"a\": \"<&>\"\n}"},
		{"key that needs quoting", `{"a": 1}`, "\"", 1, `{"a": 1, "\"": 1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Set([]byte(c.src), c.value, strings.Split(c.path, ".")...)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			var v any
			if err := Parse(string(got), &v); err != nil {
				t.Errorf("the result does not parse: %v", err)
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	for _, c := range []struct{ src, path, want string }{
		{`{"a": 1}`, "a.b", `1:7: found the number 1 where an object should stand to hold "b"`},
		{`{"a": [1]}`, "a.2", `the list has no item "2"`},
		{`5`, "a", "single value"},
		{`{"a": `, "a", "the file ends where a value should stand"},
	} {
		_, err := Set([]byte(c.src), 1, strings.Split(c.path, ".")...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Set(%s, %s): %v, want %q", c.src, c.path, err, c.want)
		}
	}
	if _, err := Set([]byte("{}"), 1); err == nil {
		t.Error("Set without a path succeeded")
	}
	for _, path := range [][]string{{"a"}, {"a", "b"}} {
		for _, src := range []string{"", "{}", `{"a": null}`} {
			if _, err := Set([]byte(src), func() {}, path...); err == nil {
				t.Errorf("Set(%q) of a func succeeded", src)
			}
		}
	}
}

func TestRemove(t *testing.T) {
	for _, c := range []struct{ name, src, path, want string }{
		{"first on a line", `{"a": 1, "b": 2}`, "a", `{"b": 2}`},
		{"last on a line", `{"a": 1, "b": 2}`, "b", `{"a": 1}`},
		{"last with trailing comma", `{"a": 1, "b": 2,}`, "b", `{"a": 1, }`},
		{"only", `{"a": 1}`, "a", `{}`},
		{"own line", "{\n  # one\n  \"a\": 1,\n  # two\n  \"b\": 2\n}\n", "a", "{\n  # one\n  # two\n  \"b\": 2\n}\n"},
		{"own line, last", "{\n  # one\n  \"a\": 1, // x\n  # two\n  \"b\": 2\n}\n", "b", "{\n  # one\n  \"a\": 1 // x\n  # two\n}\n"},
		{"comment stays", "{\n  \"a\": 1, // x\n  \"b\": 2\n}\n", "a", "{\n  // x\n  \"b\": 2\n}\n"},
		{"several lines", "{\n  \"a\": {\n    \"c\": 1\n  },\n  \"b\": 2\n}\n", "a", "{\n  \"b\": 2\n}\n"},
		{"comma after a comment", "{\"a\": 1 /* x */, \"b\": 2}", "a", "{ /* x */ \"b\": 2}"},
		{"nested", "{\"A\": {\"b\": 1, \"c\": 2}}", "A.c", "{\"A\": {\"b\": 1}}"},
		{"not there", `{"a": 1}`, "b", `{"a": 1}`},
		{"parent not there", `{"a": 1}`, "b.c", `{"a": 1}`},
		{"parent no object", `{"a": 1}`, "a.c.d", `{"a": 1}`},
		{"item", `{"l": [1, 2, 3]}`, "l.1", `{"l": [1, 3]}`},
		{"merged", "{\"P\": {\"a\": 1}, \"P\": {\"b\": 2}}", "P.b", "{\"P\": {\"a\": 1}, \"P\": {}}"},
		{"merged, all of it", "{\"P\": {\"a\": 1}, // x\n \"P\": {\"b\": 2}, \"P\": {}}", "P", "{// x\n }"},
		{"CRLF", "{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}\r\n", "a", "{\r\n  \"b\": 2\r\n}\r\n"},
		{"empty", "# x", "a", "# x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Remove([]byte(c.src), strings.Split(c.path, ".")...)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			var v any
			if err := Parse(string(got), &v); err != nil {
				t.Errorf("the result does not parse: %v", err)
			}
		})
	}
	if _, err := Remove([]byte("{"), "a"); err == nil {
		t.Error("Remove from a broken text succeeded")
	}
}

// FuzzEdit: after an edit the value is there, or gone, and every other value
// and every comment is as before; an addition only inserts.
func FuzzEdit(f *testing.F) {
	for _, src := range []string{
		"", "# x", "{}", `{"a": 1}`, "{\n  \"a\": 1, // x\n  \"b\": {\n    # y\n  },\n}\n", "{\r\n\"a\":{\"b\":[1,2]}\r\n}",
		"\uFEFF{\"k\": null /* z */ }", `{"a": {"b": 1}, "a": {"k": 2}}`, "{\"a\": 1 # x\n, }", "{\"a\":1//\n}",
	} {
		f.Add(src, "a", "k", "value")
		f.Add(src, "k", "", "")
	}
	f.Fuzz(func(t *testing.T, src, key1, key2, value string) {
		var before map[string]any
		if Parse(src, &before) != nil {
			return
		}
		if _, list := before[key1].([]any); list && key2 != "" {
			return // TestSet has lists
		}
		path := []string{key1}
		if key2 != "" {
			path = append(path, key2)
		}
		if !utf8.ValidString(value) {
			return
		}
		for _, key := range path {
			if !utf8.ValidString(key) {
				return
			}
		}
		out, err := Set([]byte(src), value, path...)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Set(%q): %v, which is no *Error", src, err)
			}
			return
		}
		var after map[string]any
		if err := Parse(string(out), &after); err != nil {
			t.Fatalf("Set(%q, %q) = %q: %v", src, path, out, err)
		}
		if got := lookup(after, path); got != value {
			t.Fatalf("Set(%q, %q) = %q: holds %v, want %q", src, path, out, got, value)
		}
		had := has(before, path)
		if !had && lookup(before, path[:1]) != nil && !subsequence(src, string(out)) {
			t.Fatalf("Set(%q, %q) = %q: more than an insertion", src, path, out)
		}
		if !reflect.DeepEqual(commentsOf(src), commentsOf(string(out))) && !containsComment(src, before, path) {
			t.Fatalf("Set(%q, %q) = %q: comments changed", src, path, out)
		}
		if !reflect.DeepEqual(without(before, path), without(after, path)) {
			t.Fatalf("Set(%q, %q) = %q: other values changed", src, path, out)
		}
		back, err := Remove(out, path...)
		if err != nil {
			t.Fatalf("Remove(%q, %q): %v", out, path, err)
		}
		var gone map[string]any
		if err := Parse(string(back), &gone); err != nil {
			t.Fatalf("Remove(%q, %q) = %q: %v", out, path, back, err)
		}
		if has(gone, path) || !reflect.DeepEqual(without(after, path), without(gone, path)) {
			t.Fatalf("Remove(%q, %q) = %q", out, path, back)
		}
		if !subsequence(string(back), string(out)) || !reflect.DeepEqual(commentsBeside(t, out, path), commentsOf(string(back))) {
			t.Fatalf("Remove(%q, %q) = %q: took more than the value", out, path, back)
		}
	})
}

// commentsBeside lists the comments that stand outside of a member: one between
// its key and its value is the member's own.
func commentsBeside(t *testing.T, src []byte, path []string) []string {
	e, err := edit(src)
	if err != nil {
		t.Fatal(err)
	}
	parent, _, err := e.walk(path[:len(path)-1])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range parent.elements() {
		if s.key == path[len(path)-1] {
			return append(commentsOf(string(src[:s.start])), commentsOf(string(src[s.end:]))...)
		}
	}
	t.Fatalf("no %q in %q", path, src)
	return nil
}

func lookup(v any, path []string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func has(v any, path []string) bool {
	for _, key := range path {
		m, _ := v.(map[string]any)
		var ok bool
		if v, ok = m[key]; !ok {
			return false
		}
	}
	return true
}

// without is a deep copy of m without the value at path and without the empty
// objects on the way to it.
func without(m map[string]any, path []string) map[string]any {
	text, _ := json.Marshal(m)
	c := make(map[string]any)
	if m != nil {
		json.Unmarshal(text, &c)
	}
	if len(path) == 1 {
		delete(c, path[0])
		return c
	}
	switch inner := c[path[0]].(type) {
	case map[string]any:
		if inner = without(inner, path[1:]); len(inner) == 0 {
			delete(c, path[0])
		} else {
			c[path[0]] = inner
		}
	case nil:
		delete(c, path[0])
	}
	return c
}

func subsequence(short, long string) bool {
	for i := 0; i < len(long) && short != ""; i++ {
		if long[i] == short[0] {
			short = short[1:]
		}
	}
	return short == ""
}

// commentsOf lists the comments of a text.
func commentsOf(src string) (list []string) {
	b := []byte(src)
	for i := 0; i < len(b); {
		switch {
		case b[i] == '"':
			i = stringEnd(b, i)
		case b[i] == '#', bytes.HasPrefix(b[i:], []byte("//")), bytes.HasPrefix(b[i:], []byte("/*")):
			end := commentEnd(b, i)
			list = append(list, string(bytes.TrimRight(b[i:end], " \t\r")))
			i = end
		default:
			i++
		}
	}
	return list
}

// containsComment reports whether a value that is replaced may hold comments,
// which go with it.
func containsComment(src string, v any, path []string) bool {
	switch lookup(v, path).(type) {
	case map[string]any, []any:
		return true
	}
	return false
}
