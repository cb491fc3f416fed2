package queue

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestOneLine: what another host says is one line of at most 500 octets in the log, and never half a character.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\r\nb\t c": "a b c", "": "", strings.Repeat("x", 500): strings.Repeat("x", 500), strings.Repeat("x", 501): strings.Repeat("x", 500),
		strings.Repeat("x", 499) + "ä": strings.Repeat("x", 499), strings.Repeat("x", 498) + "ä": strings.Repeat("x", 498) + "ä",
	} {
		if got := oneLine(text); got != want || !utf8.ValidString(got) {
			t.Errorf("%.20q (%d octets): %d octets", text, len(text), len(got))
		}
	}
}

// TestClassText: a class is read as it is written.
func TestClassText(t *testing.T) {
	for c := range Class(len(classNames)) {
		text, err := c.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		back := Class(99)
		if err := back.UnmarshalText(text); err != nil || back != c {
			t.Errorf("%s: %v, %v", text, back, err)
		}
	}
	if err := new(Class).UnmarshalText([]byte("fast")); err == nil {
		t.Error("an unknown class")
	}
}
