package config

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// everything is a struct of all that JSON can hold.
type everything struct {
	Text  string                `json:"text"`
	Whole int64                 `json:"whole"`
	Real  float64               `json:"real"`
	Yes   bool                  `json:"yes"`
	List  []string              `json:"list"`
	Table map[string]int        `json:"table"`
	Below *everything           `json:"below"`
	Many  []everything          `json:"many"`
	By    map[string]everything `json:"by"`
}

// letters are what texts are made of: what has to be escaped, what looks like a comment, and more than ASCII.
var letters = []string{"a", "B", "0", " ", "\"", "\\", "/", "//", "/*", "*/", "#", "\n", "\t", "\x00", "\x1f", "\x7f", "ü", "€", "\U0001f4ee", "{", "}", "[", "]", ":", ",", "\u2028", "<"}

func text(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(8) {
		b.WriteString(letters[r.IntN(len(letters))])
	}
	return b.String()
}

func anything(r *rand.Rand, depth int) everything {
	e := everything{Text: text(r), Whole: int64(r.Uint64()), Real: r.NormFloat64() * 1e6, Yes: r.IntN(2) == 0}
	for range r.IntN(4) {
		e.List = append(e.List, text(r))
	}
	for range r.IntN(3) {
		if e.Table == nil {
			e.Table = make(map[string]int)
		}
		e.Table[fmt.Sprint(len(e.Table), text(r))] = r.IntN(100) - 50
	}
	if depth > 0 && r.IntN(2) == 0 {
		below := anything(r, depth-1)
		e.Below, e.Many = &below, []everything{anything(r, depth-1)}
		e.By = map[string]everything{"k" + text(r): anything(r, depth-1)}
	}
	return e
}

// loosen writes JSON as people write settings: with comments of each kind and blanks between any two tokens, and a comma behind the last
// member.
func loosen(r *rand.Rand, text []byte) string {
	between := []string{"", "", " ", "\n", "\t", "\r\n", "// to the end: \"x\", }\n", "# so too ]\n", "/* within { */", "/**/", "\n\n\t/* two\nlines */ "}
	gap := func() string { return between[r.IntN(len(between))] + between[r.IntN(len(between))] }
	var b strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\':
			b.Write(text[i : i+2])
			i++
			continue
		case c == '"':
			quoted = !quoted
			if quoted {
				b.WriteString(gap())
			}
		case quoted:
		case (c == '}' || c == ']') && r.IntN(2) == 0 && text[i-1] != '{' && text[i-1] != '[':
			b.WriteString(gap() + ",")
			fallthrough
		case strings.ContainsRune("{}[]:,", rune(c)):
			b.WriteString(gap())
		}
		b.WriteByte(c)
		if !quoted && strings.IndexByte("{}[]:,\"", c) >= 0 {
			b.WriteString(gap())
		}
	}
	return gap() + b.String() + gap()
}

// TestSameAsJSON: what encoding/json writes is read as it reads it, however it is laid out and commented; with what differs
// between the two named by both.
func TestSameAsJSON(t *testing.T) {
	r := mailtest.Rand(t)
	for range 60 {
		want := anything(r, 3)
		plain, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			loose := loosen(r, plain)
			var got everything
			if err := Parse(loose, &got); err != nil {
				t.Fatalf("%v\n%s", err, loose)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s\nis read as\n%+v\nand should be\n%+v", loose, got, want)
			}
			strict, err := Standardize([]byte(loose))
			if err != nil || len(strict) != len(loose) {
				t.Fatalf("%v, %d octets of %d\n%s", err, len(strict), len(loose), loose)
			}
			var again everything
			if err := json.Unmarshal(strict, &again); err != nil || !reflect.DeepEqual(again, want) {
				t.Fatalf("%v\n%s", err, strict)
			}
		}
		// One octet taken out, put in or changed: what is still read by both is read alike.
		for range 20 {
			at := r.IntN(len(plain))
			broken := string(plain[:at]) + []string{"", ",", "\"", "0", "}", "x", "-", "."}[r.IntN(8)] + string(plain[at+r.IntN(2):])
			var ours, theirs everything
			if Parse(broken, &ours) != nil {
				continue // which may be stricter: keys that stand twice, or that nobody knows
			}
			dec := json.NewDecoder(strings.NewReader(broken))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&theirs); err == nil && !reflect.DeepEqual(ours, theirs) {
				t.Fatalf("%s\nis read as\n%+v\nand by encoding/json as\n%+v", broken, ours, theirs)
			}
		}
	}
}
