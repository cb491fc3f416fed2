package conf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/config"
)

// TestDefaults: what holds where nothing is said is known to those who said nothing. A default that changes is a
// line of the list in testdata that changes, and one of CHANGELOG.md.
func TestDefaults(t *testing.T) {
	var b strings.Builder
	eachSetting(reflect.ValueOf(New()), func(s setting) {
		value, err := json.Marshal(s.value.Interface())
		if text, ok := s.value.Interface().(fmt.Stringer); ok {
			value, err = []byte(text.String()), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n", config.Path(s.steps...), value)
	})
	name := filepath.Join(testdata, "defaults.txt")
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		is, was := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := 0; i < max(len(is), len(was)); i++ {
			if i >= len(is) || i >= len(was) || is[i] != was[i] {
				t.Fatalf("line %d: %q, was %q; -update writes it anew", i+1, lineOf(is, i), lineOf(was, i))
			}
		}
	}
}

// lineOf is a line, if there is one.
func lineOf(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// TestCRAMForm: the two states of CRAM-MD5 are 32 octets in hexadecimal, as Dovecot writes them or bare.
func TestCRAMForm(t *testing.T) {
	states := strings.Repeat("0a", 32)
	for text, want := range map[string]bool{
		states: true, strings.ToUpper(states): true, "{CRAM-MD5}" + states: true, states[2:]: false, states + "00": false, states[1:]: false,
		"g" + states[1:]: false, "{MD5}" + states: false, "": false, "{CRAM-MD5}": false, states[1:] + "x": false,
	} {
		if isCRAM(text) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}
