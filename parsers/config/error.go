package config

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Position is a place in a file. Lines and columns are counted from 1, columns
// in characters. A zero Line means the file as a whole.
type Position struct {
	File      string
	Line, Col int
}

// String gives "file:line:col", as compilers write it.
func (p Position) String() string {
	name := p.File
	if name == "" {
		name = "configuration"
	}
	if p.Line == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d:%d", name, p.Line, p.Col)
}

// Error is one problem at one place.
type Error struct {
	Name      string // the file's name; may be empty
	Line, Col int    // from 1, columns in characters; Line 0: the file as a whole
	Err       error  // what is wrong there

	excerpt string // the line and a caret below it; may be empty
}

// Error gives "file:line:col: what", and below it the line with a caret.
func (e *Error) Error() string {
	if e.excerpt == "" {
		return e.Brief()
	}
	return e.Brief() + "\n" + e.excerpt
}

// Brief is the error on one line, for a log.
func (e *Error) Brief() string { return e.Position().String() + ": " + e.Err.Error() }

// Position is the place.
func (e *Error) Position() Position { return Position{e.Name, e.Line, e.Col} }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Errors is all problems of a text, in its order.
type Errors []*Error

// Error gives each problem on lines of its own.
func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap returns each problem.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// Sort puts the problems in the order of files, lines and columns.
func (es Errors) Sort() {
	slices.SortStableFunc(es, func(a, b *Error) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
}

// errOrNil keeps an empty list from becoming an error that is not nil.
func (es Errors) errOrNil() error {
	if len(es) == 0 {
		return nil
	}
	return es
}

// file is one text and what is needed to show a place in it.
type file struct {
	name  string
	text  []byte
	hide  func(key, content string) bool
	plain func(key string) bool
	lines []int // offsets of line starts, made when first needed
}

func (f *file) position(offset int) Position {
	if f.lines == nil {
		f.lines = append(f.lines, 0)
		for i, c := range f.text {
			if c == '\n' {
				f.lines = append(f.lines, i+1)
			}
		}
	}
	offset = min(offset, len(f.text))
	line := sort.SearchInts(f.lines, offset+1)
	start := f.lines[line-1]
	if line == 1 && bytes.HasPrefix(f.text, bom) {
		start = min(len(bom), offset)
	}
	far := min(offset, start+longLine)
	return Position{f.name, line, 1 + utf8.RuneCount(f.text[start:far]) + offset - far}
}

// longLine is how far into a line characters are counted. Beyond, octets are,
// so that asking for every place in a file of one line stays cheap.
const longLine = 4096

func (f *file) errorAt(offset int, err error) *Error { return f.problem(offset, err, false) }

// problem makes an Error. With secret, the line is shown without its values.
func (f *file) problem(offset int, err error, secret bool) *Error {
	p := f.position(offset)
	return &Error{Name: f.name, Line: p.Line, Col: p.Col, Err: err, excerpt: f.excerpt(p, secret)}
}

// excerptWidth is how much of a long line is shown.
const excerptWidth = 100

// longestShown is the longest line that an excerpt is taken from, in octets. What is
// longer was not written by hand, and there may be as many problems on it.
const longestShown = 64 << 10

// excerpt shows p's line and a caret below it. Secrets become stars, character
// by character, so that the caret still points where it should.
func (f *file) excerpt(p Position, secret bool) string {
	start := f.lines[p.Line-1]
	line := f.text[start:lineEnd(f.text, start)]
	if p.Line == 1 {
		line = bytes.TrimPrefix(line, bom)
	}
	if len(line) > longestShown || len(bytes.TrimSpace(line)) == 0 {
		return ""
	}
	shown := []rune(f.conceal(line, secret))
	for i, r := range shown {
		if r != '\t' && !unicode.IsPrint(r) { // nothing that a terminal obeys
			shown[i] = ' '
		}
	}
	caret := min(p.Col-1, len(shown))
	from, head := 0, ""
	if caret > excerptWidth*3/4 {
		from, head = caret-excerptWidth/2, "..."
	}
	upto, tail := len(shown), ""
	if upto-from > excerptWidth {
		upto, tail = from+excerptWidth, "..."
	}
	under := []rune(head + string(shown[from:caret]))
	for i, r := range under {
		if r != '\t' {
			under[i] = ' '
		}
	}
	text := strings.TrimRight(head+string(shown[from:upto]), " \t") + tail
	return "    " + text + "\n    " + string(under) + "^"
}

// conceal replaces the contents of values on a line by stars: those that
// f.hide names, and with all every string that is not a key, unless f.plain
// knows its key.
func (f *file) conceal(line []byte, all bool) string {
	if f.hide == nil && !all {
		return string(line)
	}
	var b strings.Builder
	key, colon := "", false // of the value that comes next, and whether it comes at once
	for i := 0; i < len(line); {
		end, quoted := token(line, i)
		content := line[i:end]
		if quoted {
			content = bytes.TrimSuffix(line[i+1:end], []byte(`"`))
		}
		next := skipLine(line, end)
		switch {
		case quoted && next < len(line) && line[next] == ':':
			key, colon = string(content), true
			i = next + 1
			b.Write(line[end-len(content)-2 : i])
			continue
		case quoted && (all && (f.plain == nil || !f.plain(key)) || f.hide != nil && f.hide(key, string(content))), colon && isWord(line[i]) && f.hide != nil && f.hide(key, string(content)):
			shown := strings.Repeat("*", utf8.RuneCount(content))
			b.Write(bytes.Replace(line[i:end], content, []byte(shown), 1))
		default:
			b.Write(line[i:end])
		}
		colon = colon && isBlank(line[i])
		i = end
	}
	return b.String()
}

// token returns the end of what begins at i: a string, closed or not, a word,
// or a single octet.
func token(line []byte, i int) (end int, quoted bool) {
	if line[i] == '"' {
		if end = stringEnd(line, i); end < 0 {
			end = len(line)
		}
		return end, true
	}
	for end = i; end < len(line) && (isWord(line[end]) || end > i && line[end] == '.'); end++ {
	}
	return max(end, i+1), false
}

// skipLine steps over blanks. Comments are not worth the trouble: a line may
// hold the middle of one.
func skipLine(line []byte, i int) int {
	for i < len(line) && isBlank(line[i]) {
		i++
	}
	return i
}
