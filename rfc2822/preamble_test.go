package rfc2822

import (
	"fmt"
	"strings"
	"testing"
)

// TestLongPreambleWhole: the text of a multipart without parts is all of it, with its line ends, wherever the look for a
// boundary line ended.
func TestLongPreambleWhole(t *testing.T) {
	for _, eol := range []string{"\r\n", "\n"} {
		for size := maxPreamble - 30; size < maxPreamble+30; size++ {
			var b strings.Builder
			for i := 0; b.Len() < size-20; i++ {
				fmt.Fprintf(&b, "line %d%s", i, eol)
			}
			b.WriteString(strings.Repeat("x", size-b.Len()))
			for i := range 9 {
				fmt.Fprintf(&b, "%sbehind %d", eol, i)
			}
			b.WriteString(eol)
			m, err := ReadString("Content-Type: multipart/mixed; boundary=never" + eol + eol + b.String())
			if err != nil {
				t.Fatal(err)
			}
			c, err := m.Content(Limits{}, 0)
			if err != nil || strings.ReplaceAll(c.Text, "\r\n", "\n") != strings.ReplaceAll(b.String(), "\r\n", "\n") {
				t.Fatalf("%d octets, %q: %d of %d are there, %v: %q", size, eol, len(c.Text), b.Len(), err, c.Text[max(0, len(c.Text)-200):])
			}
		}
	}
}
