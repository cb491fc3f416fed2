package config

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/tidwall/jsonc"
)

var bom = []byte("\xEF\xBB\xBF")

// Standardize returns src as plain JSON: comments, commas after a last element
// and a byte order mark become spaces. The result has the length of src and
// every line break in its place, so that offsets into it are offsets into src.
// Apart from that nothing is changed, and nothing is checked except that every
// comment and every string has its end and that a comma follows a value. The error
// is an *Error without a Name.
func Standardize(src []byte) ([]byte, error) {
	dst, err := standardize(&file{text: src})
	if err != nil {
		return nil, err
	}
	return dst, nil
}

func standardize(f *file) ([]byte, *Error) {
	src := f.text
	if bytes.HasPrefix(src, []byte("\xFF\xFE")) || bytes.HasPrefix(src, []byte("\xFE\xFF")) {
		return nil, f.errorAt(0, errors.New("the file is in UTF-16; save it as UTF-8"))
	}
	dst := bytes.Clone(src)
	if bytes.HasPrefix(dst, bom) {
		copy(dst, "   ")
	}
	if err := blankHash(f, dst); err != nil {
		return nil, err
	}
	return jsonc.ToJSONInPlace(dst), nil
}

// blankHash overwrites #-comments and steps over everything in which a # is no
// comment. What jsonc would let pass or misread (a comment or a string without
// an end, a comma after an opening bracket) is refused here.
func blankHash(f *file, b []byte) *Error {
	var before byte // the last byte that is neither blank nor comment
	for i := 0; i < len(b); {
		c, start := b[i], i
		switch {
		case c == '"':
			end := stringEnd(b, i)
			if end < 0 {
				return f.errorAt(start, errors.New("this string is not closed on its line"))
			}
			i = end
		case c == '#':
			i = lineEnd(b, i)
			blank(b[start:i])
			continue
		case c == '/' && i+1 < len(b) && (b[i+1] == '/' || b[i+1] == '*'):
			if i = commentEnd(b, i); i < 0 {
				return f.errorAt(start, errors.New("this comment is not closed; it needs a */"))
			}
			continue
		case c == ',' && (before == '[' || before == '{'):
			return f.errorAt(start, fmt.Errorf("nothing stands between %q and this comma", before))
		default:
			i++
		}
		if c > ' ' {
			before = c
		}
	}
	return nil
}

// nested returns the line of the last comment before at in which a second one
// seems to begin, if it stands right before at, or the end of a comment is there:
// its author expected the end further on.
func (f *file) nested(at int) (line int) {
	b := f.text
	end := bytes.HasPrefix(b[at:], []byte("*/"))
	for i := 0; i < at; {
		switch c := b[i]; {
		case c == '"':
			if i = stringEnd(b, i); i < 0 {
				return 0
			}
			if !end {
				line = 0
			}
		case c == '#':
			i = lineEnd(b, i)
		case c == '/' && i+1 < len(b) && (b[i+1] == '/' || b[i+1] == '*'):
			after := commentEnd(b, i)
			if after < 0 {
				return 0
			}
			if b[i+1] == '*' && bytes.Contains(b[i+2:after-2], []byte("/*")) {
				line = f.position(i).Line
			}
			i = after
		default:
			if c > ' ' && !end {
				line = 0
			}
			i++
		}
	}
	return line
}

// blank overwrites a comment, but not what moves a terminal's cursor, as jsonc
// does it for the other comments.
func blank(b []byte) {
	for i, c := range b {
		if c != '\r' && c != '\t' {
			b[i] = ' '
		}
	}
}

// stringEnd returns the offset behind the string that begins at i, or -1 if it
// does not end on its line.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '\n'; i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			if i++; i < len(b) && b[i] == '\n' {
				return -1
			}
		}
	}
	return -1
}

// lineEnd returns the offset of the line feed that ends i's line.
func lineEnd(b []byte, i int) int {
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(b)
}

// commentEnd returns the offset behind the comment that begins at i, or -1 if
// it has no end. A comment that reaches to the end of its line ends before the
// line feed.
func commentEnd(b []byte, i int) int {
	if b[i] == '#' || b[i+1] == '/' {
		return lineEnd(b, i)
	}
	n := bytes.Index(b[i+2:], []byte("*/"))
	if n < 0 {
		return -1
	}
	return i + 2 + n + 2
}

// skipBlank returns the offset of the first byte from i on that is neither
// white space nor part of a comment. The text must have passed blankHash.
func skipBlank(b []byte, i int) int {
	if i == 0 && bytes.HasPrefix(b, bom) {
		i = len(bom)
	}
	for i < len(b) {
		switch c := b[i]; {
		case isBlank(c):
			i++
		case c == '#', c == '/' && i+1 < len(b) && (b[i+1] == '/' || b[i+1] == '*'):
			i = commentEnd(b, i)
		default:
			return i
		}
	}
	return i
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// validUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func validUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
