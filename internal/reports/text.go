package reports

import (
	"bufio"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
)

var declared = regexp.MustCompile(`^\s*<\?xml[^>]*\bencoding\s*=\s*["']([A-Za-z0-9._:-]+)["']`)

// charsets are those that reports have been seen to be in beside UTF-8 and UTF-16.
// US-ASCII that is none is what Windows means by it.
func charsetOf(name string) *charmap.Charmap {
	switch strings.ToLower(name) {
	case "windows-1252", "cp1252", "iso-8859-1", "iso_8859-1", "latin1", "us-ascii", "ascii":
		return charmap.Windows1252
	case "iso-8859-15":
		return charmap.ISO8859_15
	case "iso-8859-2":
		return charmap.ISO8859_2
	case "windows-1250":
		return charmap.Windows1250
	case "windows-1251":
		return charmap.Windows1251
	case "koi8-r":
		return charmap.KOI8R
	}
	return nil
}

// newText reads a document as UTF-8, whatever it is in: by its byte order mark, else by
// what it declares. What is not valid is replaced, also controls, which no XML may
// have.
func newText(r io.Reader) *bufio.Reader {
	b := bufio.NewReader(r)
	begin, _ := b.Peek(256)
	var plain transform.Transformer = transform.Nop
	if m := declared.FindSubmatch(begin); m != nil {
		if c := charsetOf(string(m[1])); c != nil {
			plain = c.NewDecoder()
		}
	}
	valid := runes.Map(func(r rune) rune { // what is no UTF-8 is the replacement character already
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return runeError
		}
		return r
	})
	return bufio.NewReader(transform.NewReader(b, transform.Chain(unicode.BOMOverride(plain), valid)))
}

const runeError = '\uFFFD'
