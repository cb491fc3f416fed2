package rfc2822

import (
	"bytes"
	"io"
	"strings"
)

// maxPreamble is how many octets before the first boundary line are held to see
// whether there is one. A real preamble is a sentence; what is longer is given as a
// part of its own, so that nothing can be hidden in it.
const maxPreamble = 32 << 10

// preamble appends what it reads to text: up to the first boundary line, from where the header section
// ended, or as much as it may hold; t goes on behind it then.
func (t *treeReader) preamble(text []byte) []byte {
	text = append(append(text, t.pend...), t.eol...)
	t.pend, t.eol = nil, nil
	// What a header section gives back are whole lines, of which only the last can be a boundary line.
	last := bytes.LastIndexByte(bytes.TrimRight(text, "\r\n"), '\n') + 1
	if len(text) > 0 && t.hit < 0 && t.match(text[last:]) {
		return text[:last]
	}
	var held []byte // the line end of the last line, which may belong to a boundary line
	for len(text) <= maxPreamble {
		line, eol, ok := t.line()
		if !ok {
			if t.hit < 0 {
				text = append(text, held...)
			}
			return text
		}
		text = append(append(text, held...), line...)
		held = t.holdEOL(eol)
	}
	t.eol = held
	return text
}

// unparted goes on within a multipart of which no part was found: its boundary
// never occurs, or it has none. Other readers show its body, and a message that
// hid its text so would pass every filter: so the parts are looked for by the boundary
// that the body seems to have, and without one the body is a part of plain text. text is the
// body's beginning, t has the rest.
func (w *walker) unparted(t *treeReader, p *Part, text []byte, depth int) error {
	if len(bytes.TrimSpace(text)) == 0 && t.stopped() {
		return nil
	}
	inner := newTreeReader(io.MultiReader(bytes.NewReader(text), t), &w.work)
	defer inner.close()
	if boundary := guessBoundary(text); boundary != "" && !w.guessing {
		w.guessing = true // one reader on another, and no more
		defer func() { w.guessing = false }()
		inner.open = append(inner.open, boundary)
		inner.skip()
		_, err := w.parts(inner, p, 0, depth)
		inner.open = nil
		inner.resume()
		inner.skip()
		return err
	}
	return w.entity(inner, w.textPart(p), depth+1)
}

// textPart is a part that stands in no header: text in a multipart outside of its parts.
func (w *walker) textPart(p *Part) *Part {
	child := &Part{Header: &Section{}, Parent: p, Index: p.nextKid(), MediaType: "text/plain", encoding: p.encoding, walk: w}
	if p.Charset() != "" {
		child.Params = map[string]string{"charset": p.Charset()}
	}
	return child
}

// guessBoundary finds the line that seems to be a multipart's boundary line: one
// that begins with two dashes, with a MIME field in the next line, or with a field
// or an empty line there and a closing line somewhere. It returns "" if there is none.
func guessBoundary(text []byte) string {
	for rest := text; len(rest) > 0; {
		line, behind := cutLine(rest)
		rest = behind
		open := strings.TrimRight(string(line), " \t\r\n")
		if len(open) < 3 || len(open) > 2+70 || !strings.HasPrefix(open, "--") || strings.Trim(open, "-") == "" {
			continue
		}
		next, _ := cutLine(rest)
		mime := len(next) > 8 && bytes.EqualFold(next[:8], []byte("Content-")) && isField(next)
		if mime || (isField(next) || emptyLine(next) > 0) && bytes.Contains(rest, []byte("\n"+open+"--")) {
			return open
		}
	}
	return ""
}

func cutLine(s []byte) (line, rest []byte) {
	if i := bytes.IndexByte(s, '\n'); i >= 0 {
		return s[:i+1], s[i+1:]
	}
	return s, nil
}
