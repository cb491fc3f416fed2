package main

import (
	"io"
	"unicode"

	"github.com/postrider-mail/postrider/internal/logs"
)

// plain writes what may hold words of strangers, such as addresses and the
// replies of other servers, so that none of them can steer the terminal or turn
// around the direction of writing: what is not printable is shown as an escape.
// Lines and tabs stay. Every Write must hold whole characters.
type plain struct{ w io.Writer }

// Write implements io.Writer.
func (p plain) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.w, printable(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

func printable(s string) string {
	return logs.Escape(s, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) })
}
