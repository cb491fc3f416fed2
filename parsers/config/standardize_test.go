package config

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/jsonc"
)

func TestStandardize(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"hash", "{} # x", "{}    "},
		{"hash with quotes", `{} # "x" // y`, "{}           "},
		{"hash in a string", `{"p": "p#w"} # x`, `{"p": "p#w"}    `},
		{"hash behind an escaped quote", `{"p": "p\"#w"}`, `{"p": "p\"#w"}`},
		{"hash behind an escaped backslash", `{"p": "\\"} #"`, `{"p": "\\"}   `},
		{"escaped hash", `{"p": "\u0023"}`, `{"p": "\u0023"}`},
		{"slashes", "{} // # x", "{}       "},
		{"slashes in a string", `{"u": "http://x/*y*/"}`, `{"u": "http://x/*y*/"}`},
		{"hash before slashes", "# // x\n{}", "      \n{}"},
		{"hash before a star comment", "# /*\n{}", "    \n{}"},
		{"star comment", "{/* # \n */}", "{     \n   }"},
		{"star comment at the end", "{}/**/", "{}    "},
		{"CRLF and tabs", "{}#\tx\r\n", "{} \t \r\n"},
		{"two hash lines", "# a # b\n# c\n{}", "       \n   \n{}"},
		{"trailing commas", `{"a": [1, 2,], }`, `{"a": [1, 2 ]  }`},
		{"trailing comma and comment", "[1, # one\n]", "[1       \n]"},
		{"byte order mark", "\uFEFF{}", "   {}"},
		{"no comments", "{\"a\":\t1}\n", "{\"a\":\t1}\n"},
		{"empty", "", ""},
		{"not UTF-8", "# \xff\n{}", "   \n{}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := []byte(c.in)
			got, err := Standardize(in)
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if string(in) != c.in {
				t.Error("the input was changed")
			}
		})
	}
}

func TestStandardizeRefuses(t *testing.T) {
	for _, c := range []struct {
		in        string
		line, col int
		want      string
	}{
		{"{}\n /* x", 2, 2, "not closed"},
		{"/*/", 1, 1, "not closed"},
		{"/*", 1, 1, "not closed"},
		{`{"a": "b`, 1, 7, "not closed"},
		{"{\"a\": \"b\n\"}", 1, 7, "not closed"},
		{"{\"a\": \"b\\\n\"}", 1, 7, "not closed"},
		{"[,]", 1, 2, "nothing stands between '['"},
		{"{ # x\n ,}", 2, 2, "nothing stands between '{'"},
		{"\xff\xfe{\x00}\x00", 1, 1, "UTF-16"},
	} {
		_, err := Standardize([]byte(c.in))
		var e *Error
		if !errors.As(err, &e) || e.Line != c.line || e.Col != c.col || !strings.Contains(e.Err.Error(), c.want) {
			t.Errorf("Standardize(%q): %v, want %d:%d %s", c.in, err, c.line, c.col, c.want)
		}
	}
}

// suite calls f for every text of the JSON test suite.
func suite(t testing.TB, f func(name string, text []byte)) {
	file, err := os.Open("testdata/json-nst.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	n := 0
	for lines.Scan() {
		name, quoted, _ := strings.Cut(lines.Text(), " ")
		if name == "#" {
			continue
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatal(name, err)
		}
		n++
		f(name, []byte(text))
	}
	if lines.Err() != nil || n < 300 {
		t.Fatalf("read %d texts: %v", n, lines.Err())
	}
}

// ours are texts that the suite wants refused and that this format allows.
var ours = map[string]bool{
	"n_structure_trailing_#.json":               true,
	"n_array_extra_comma.json":                  true,
	"n_array_number_and_comma.json":             true,
	"n_object_trailing_comma.json":              true,
	"n_object_trailing_comment.json":            true,
	"n_object_trailing_comment_slash_open.json": true,
	"n_structure_object_with_comment.json":      true,
	"n_single_space.json":                       true, // holds nothing, which is fine
	"n_structure_no_data.json":                  true,
	"n_structure_UTF8_BOM_no_data.json":         true,
	"n_object_with_trailing_garbage.json":       true, // it is a #
}

func TestSuite(t *testing.T) {
	suite(t, func(name string, text []byte) {
		var v any
		err := Parse(string(text), &v)
		switch {
		case strings.HasPrefix(name, "y_object_duplicated_key"):
			if err == nil {
				t.Errorf("%s: a key that stands twice was accepted", name)
			}
		case name[0] == 'y' || ours[name]:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			var want any
			if name[0] == 'y' && json.Unmarshal(text, &want) == nil {
				a, _ := json.Marshal(v)
				b, _ := json.Marshal(want)
				if !bytes.Equal(a, b) {
					t.Errorf("%s: read %s, want %s", name, a, b)
				}
			}
		case name[0] == 'n' && err == nil:
			t.Errorf("%s: %q was accepted", name, text)
		}
	})
}

// FuzzStandardize: the length stays, no line break moves, plain JSON is not
// changed, and without # it is what jsonc makes of it.
func FuzzStandardize(f *testing.F) {
	suite(f, func(_ string, text []byte) { f.Add(text) })
	for _, s := range []string{"# x\n{}", "\"#\" // #\n/* # */", "/*", "[1,]#", "\uFEFF{}", "\"\\", "//\r\n#\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		out, err := Standardize(src)
		if err != nil {
			if json.Valid(src) {
				t.Fatalf("%q is JSON, but: %v", src, err)
			}
			return
		}
		if len(out) != len(src) {
			t.Fatalf("%q has %d octets, %q has %d", src, len(src), out, len(out))
		}
		for i := range src {
			if (src[i] == '\n') != (out[i] == '\n') {
				t.Fatalf("%q: a line break moved in %q", src, out)
			}
		}
		if json.Valid(src) && !bytes.Equal(src, out) {
			t.Fatalf("%q is JSON, but became %q", src, out)
		}
		if bytes.IndexByte(src, '#') < 0 && !bytes.HasPrefix(src, bom) {
			if want := jsonc.ToJSON(src); !bytes.Equal(out, want) {
				t.Fatalf("%q became %q, jsonc makes it %q", src, out, want)
			}
		}
	})
}

func BenchmarkStandardize(b *testing.B) {
	text := bytes.Repeat([]byte("    \"alice@example.com\": \"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA\", # her // \"own\"\n"), 1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Standardize(text); err != nil {
			b.Fatal(err)
		}
	}
}
