package lineserver

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
)

// newID is a name for a session: 64 random bits, short enough to be read out over
// a telephone.
func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return idEncoding.EncodeToString(b[:])
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// Transcript writes lines of many sessions, which may call it at once, to w: the
// session's id, the direction ('r' for read, 'w' for written, '#' for a remark)
// and the line.
func Transcript(w io.Writer) func(id string, dir byte, line string) {
	var mu sync.Mutex
	return func(id string, dir byte, line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, "%s %c %s\n", id, dir, line)
	}
}

// Printable replaces what could confuse whoever reads a transcript.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}
