package logs

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Escape writes characters that are odd, and octets that are none, as escapes:
// words of strangers that are shown to somebody, in the log or on a terminal.
func Escape(s string, odd func(rune) bool) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, odd) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case odd(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}
