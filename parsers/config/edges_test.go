package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/config"
)

// edited are texts as people write them: comments, commas behind the last value, objects
// that stand twice, values on one line and on several.
var edited = []string{
	`{}`,
	`{"a": 1}`,
	`{"a": 1, "b": {"c": 2, "d": [1, 2, 3]}, }`,
	"{\n    // one\n    \"a\": 1, // behind it\n    /* two */ \"b\": {\n        \"c\": 2,\n    },\n\n    \"d\": [\n        1,\n        2\n    ]\n}\n",
	"{\r\n\t\"a\": {\"b\": 1},\r\n\t\"c\": 2\r\n}\r\n",
	"{\n    \"a\": {\"b\": 1, \"x\": {\"y\": 1}},\n    \"c\": 2,\n    \"a\": {\"d\": 3}\n}\n",
	"{\n    \"a\": {\n        \"b\": 1,\n    },\n    \"a\": {\n        \"d\": 3,\n    },\n    \"a\": {\"e\": 4, \"b2\": 5},\n}\n",
	"{\"o\": {\"a\": {\"b\": 1}, \"z\": 0, \"a\": {\"c\": 2}}, \"p\": null}",
}

func decoded(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	d := config.Decoder{DuplicateObjects: true}
	if err := d.Decode(strings.NewReader(string(text)), &v); err != nil {
		t.Fatalf("%v of\n%s", err, text)
	}
	return v
}

// paths are the ways to all values of an object, those of lists aside.
func paths(v map[string]any, way ...string) (all [][]string) {
	for key, value := range v {
		here := append(way[:len(way):len(way)], key)
		all = append(all, here)
		if object, ok := value.(map[string]any); ok {
			all = append(all, paths(object, here...)...)
		}
	}
	return all
}

// changed is a copy of v in which f has changed the object that path ends in.
func changed(t *testing.T, v map[string]any, path []string, f func(object map[string]any, key string)) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	json.Unmarshal(text, &c)
	object := c
	for _, step := range path[:len(path)-1] {
		next, ok := object[step].(map[string]any)
		if !ok {
			next = map[string]any{}
			object[step] = next
		}
		object = next
	}
	f(object, path[len(path)-1])
	return c
}

// TestEditsChangeOneThing: whatever is set or removed, that is changed, and everything else
// says what it said.
func TestEditsChangeOneThing(t *testing.T) {
	for _, text := range edited {
		before := decoded(t, []byte(text))
		all := append(paths(before), []string{"new"}, []string{"new", "below"})
		for _, path := range all {
			if object, ok := before[path[0]].(map[string]any); ok && len(path) == 1 {
				for _, below := range []string{"new"} {
					if _, there := object[below]; !there {
						all = append(all, []string{path[0], below})
					}
				}
			}
		}
		for _, path := range all {
			for _, value := range []any{"set", 7.0, map[string]any{"k": "v"}, []any{1.0}} {
				got, err := config.Set([]byte(text), value, path...)
				if err != nil {
					t.Errorf("%q of\n%s: %v", path, text, err)
					continue
				}
				want := changed(t, before, path, func(object map[string]any, key string) { object[key] = value })
				if after := decoded(t, got); !reflect.DeepEqual(after, want) {
					t.Errorf("%q set to %v in\n%s\nbecame\n%s", path, value, text, got)
				}
			}
			got, err := config.Remove([]byte(text), path...)
			if err != nil {
				t.Errorf("%q of\n%s: %v", path, text, err)
				continue
			}
			want := before
			if path[len(path)-1] != "new" && path[0] != "new" {
				want = changed(t, before, path, func(object map[string]any, key string) { delete(object, key) })
			}
			if after := decoded(t, got); !reflect.DeepEqual(after, want) {
				t.Errorf("%q taken out of\n%s\nleaves\n%s", path, text, got)
			}
		}
	}
}

// TestCutAnywhere: a text that ends anywhere, also behind a backslash, is refused where it
// is not whole, and nothing worse.
func TestCutAnywhere(t *testing.T) {
	for _, text := range append(edited, `{"a\\b": "c\"d\u00e9\\"}`, `{"a": "\`, `{"\`, `"\`, "{\"a\": \"\\\n\"}") {
		for i := range len(text) {
			var v any
			err := new(config.Decoder).Decode(strings.NewReader(text[:i]), &v)
			if trimmed := strings.TrimSpace(text[:i]); err == nil && trimmed != "" && !json.Valid([]byte(trimmed)) && !strings.HasSuffix(trimmed, "}") {
				t.Errorf("%q is taken for %v", text[:i], v)
			}
		}
	}
}

// TestMappedAddress: an IPv4 address that is written as one of IPv6 is the IPv4 address.
func TestMappedAddress(t *testing.T) {
	for text, want := range map[string]string{"::ffff:192.0.2.1": "192.0.2.1/32", "192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::1/128"} {
		if p, err := config.ParsePrefix(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
}

// TestDescriptors: no file that was read, or could not be, stays open.
func TestDescriptors(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.conf"), filepath.Join(dir, "bad.conf")
	if err := errors.Join(os.WriteFile(good, []byte(`{"a": 1}`), 0o600), os.WriteFile(bad, []byte(`{"a": `), 0o600)); err != nil {
		t.Fatal(err)
	}
	mailtest.Descriptors(t, func() {
		if _, err := new(config.Decoder).ReadFiles(good, bad, dir, filepath.Join(dir, "none")); err == nil {
			t.Fatal("nothing is wrong with them")
		}
	})
}

// TestEditsLeaveTheText: what is edited is a copy, however much room stands behind the text.
func TestEditsLeaveTheText(t *testing.T) {
	for _, text := range append(edited, "", "// nothing yet\n") {
		src := append(make([]byte, 0, 1000), text...)
		beyond := src[:cap(src)]
		for _, edit := range []func() ([]byte, error){
			func() ([]byte, error) { return config.Set(src, "value", "new") },
			func() ([]byte, error) { return config.Set(src, "value", "a") },
			func() ([]byte, error) { return config.Remove(src, "a") },
		} {
			if _, err := edit(); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if string(beyond[:len(text)]) != text || strings.Trim(string(beyond[len(text):]), "\x00") != "" {
				t.Errorf("%q became %q", text, strings.TrimRight(string(beyond), "\x00"))
			}
		}
	}
}

// TestEscapes: of the four digits of an escape each is hexadecimal, in either case, also in the second half of a
// pair, and no half stands alone; encoding/json knows what is meant.
func TestEscapes(t *testing.T) {
	same := func(text string, allowed bool) {
		t.Helper()
		var got, want string
		d := config.Decoder{}
		err := d.Decode(strings.NewReader(text), &got)
		if (err == nil) != allowed {
			t.Errorf("%s: %v", text, err)
			return
		}
		if allowed {
			if err := json.Unmarshal([]byte(text), &want); err != nil || got != want {
				t.Errorf("%s: %q, want %q (%v)", text, got, want, err)
			}
		}
	}
	for _, text := range []string{`"\u00e4"`, `"\uD83D\uDE00"`} {
		for at := range len(text) {
			if text[at] == '"' || text[at] == '\\' || text[at] == 'u' {
				continue
			}
			for c := byte(0x20); c < 0x7f; c++ {
				if c == '"' || c == '\\' {
					continue
				}
				changed := text[:at] + string(c) + text[at+1:]
				hex := strings.IndexByte("0123456789abcdefABCDEF", c) >= 0
				var runes string
				if hex && json.Unmarshal([]byte(changed), &runes) == nil {
					hex = !strings.ContainsRune(runes, '\uFFFD') // what it makes of half a pair
				}
				same(changed, hex)
			}
		}
	}
	for _, text := range []string{`"\u00e"`, `"\u"`, `"\uD83D"`, `"\uD83Dx"`, `"\uD83D\n"`, `"\uDE00\uD83D"`, `"\uD83D\uD83D"`, `"\uD83D\uDE0"`, `"\x41"`} {
		same(text, false)
	}
}

// TestSetIsLegible: a value that is set stands in the text as people write it.
func TestSetIsLegible(t *testing.T) {
	const value = `a<b>&"c" ä \\ /`
	text, err := config.Set([]byte("{}"), value, "key")
	if err != nil || !strings.Contains(string(text), `"a<b>&\"c\" ä \\\\ /"`) {
		t.Errorf("%s, %v", text, err)
	}
}
