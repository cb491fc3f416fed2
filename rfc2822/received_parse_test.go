package rfc2822

import (
	"fmt"
	"strings"
	"testing"
)

// TestTraceTokens: blanks and comments end a word unless they are in quotes or angles; both of these end again.
func TestTraceTokens(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " \t\r\n ": "", "a b": "a|b", "a(b)c": "a|(b)|c", "a (b (c) d) e": "a|(b (c) d)|e", "(a": "(a)", "(a\\)b) c": `(a\)b)|c`,
		`"a b" c`: `"a b"|c`, `"a(b" c`: `"a(b"|c`, `"a\" b" c`: `"a\" b"|c`, `a"b c"d e`: `a"b c"d|e`, `"a" "b" c`: `"a"|"b"|c`,
		"<a b> c": "<a b>|c", "<a(b> c": "<a(b>|c", "<a><b c> d": "<a><b c>|d", `<a "> b" c> d`: `<a "> b" c>|d`, `"<" a`: `"<"|a`,
		`"open a`: `"open a`, "<open a": "<open a", `"a\`: `"a\`, "a;b": "a;b",
	} {
		var got []string
		for _, token := range traceTokens(in) {
			if token.comment {
				token.text = fmt.Sprintf("(%s)", token.text)
			}
			got = append(got, token.text)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if n := len(traceTokens(strings.Repeat("a ", 2*maxTraceTokens))); n != maxTraceTokens {
		t.Errorf("%d tokens", n)
	}
}
