package rfc2822

import (
	"strings"
	"testing"
)

// TestLimitsExactly: of each bound on what is written or read, the last that is within, and the first beyond.
func TestLimitsExactly(t *testing.T) {
	atom := func(n int) string { return strings.Repeat("a", n) }
	for n, want := range map[int]int{199: 199, 200: 200, 201: 200} {
		if got := atomText(atom(n)); len(got) != want {
			t.Errorf("an atom of %d: %d", n, len(got))
		}
		if got := commentText(atom(n), 200); len(got) != want {
			t.Errorf("a comment of %d: %d", n, len(got))
		}
	}
	for n, want := range map[int]int{maxAuthValue - 1: maxAuthValue - 1, maxAuthValue: maxAuthValue, maxAuthValue + 1: maxAuthValue} {
		w := &authWriter{}
		if got := w.value(atom(n)); len(got) != want {
			t.Errorf("a value of %d: %d", n, len(got))
		}
		if got := w.word(atom(n)); len(got) != want {
			t.Errorf("a word of %d: %d", n, len(got))
		}
	}
	for n, want := range map[int]bool{1: true, 59: true, 60: true, 61: false, 0: false} {
		if _, end := parseWord("=?" + atom(n) + "?q?x?="); (end > 0) != want {
			t.Errorf("a charset of %d octets: %d", n, end)
		}
	}
	for n, want := range map[int]bool{maxReadWord - 3: true, maxReadWord - 2: true, maxReadWord - 1: false} {
		if _, end := parseWord("=?utf-8?q?" + atom(n) + "?="); (end > 0) != want {
			t.Errorf("a word of %d octets: %d", n, end)
		}
	}
}

// TestCharsetNames: the names of one charset that programs write.
func TestCharsetNames(t *testing.T) {
	for name, octets := range map[string]string{"cp1252": "\xe4", "x-cp1252": "\xe4", "iso_8859-1": "\xe4", "ISO-8859-15": "\xe4", "'latin1'": "\xe4", "x-mac-roman": "\x8a", "macintosh": "\x8a", "utf8": "ä", "UTF-8": "ä", "cp437": "\x84", "utf-7": "+AOQ-"} {
		if got, ok := decodeCharset(name, octets); got != "ä" || !ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"cp", "x-", "replacement", "iso-2022-kr-x"} {
		if knownCharset(name) {
			t.Errorf("%s is known", name)
		}
	}
}

// TestWrittenOctets: of a value that is not ASCII only what has to be is written in hexadecimal (RFC 2231 §7), so that people can read it.
func TestWrittenOctets(t *testing.T) {
	for value, want := range map[string]string{"ü.txt": "%C3%BC.txt", "a_b-ü": "a_b-%C3%BC", "ü*'%": "%C3%BC%2A%27%25", "ü 1": "%C3%BC%201"} {
		if got := writtenParam("x", value); got != ";\r\n\tx*=utf-8''"+want {
			t.Errorf("%q: %q", value, got)
		}
	}
}

// TestOpenBracket: an element whose name is no phrase ends where the next begins.
func TestOpenBracket(t *testing.T) {
	for text, want := range map[string]int{"a@b <c@d>": 4, "a@b, c <d@e>": -1, "a@b; <d@e>": -1, "a@b> <d@e>": -1, "a@b": -1, "": -1} {
		if got := (&addressParser{s: text, budget: 100}).openBracket(0); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	if got := (&addressParser{s: "abcd<", budget: 4}).openBracket(0); got != -1 {
		t.Errorf("beyond the budget: %d", got)
	}
	if got := (&addressParser{s: "abcd<", budget: 5}).openBracket(0); got != 4 {
		t.Errorf("within the budget: %d", got)
	}
}
