package rfc2822

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"sync"
)

// treeReader reads a message's body line by line and stops before the boundary
// lines of the multiparts that are open (RFC 2046 §5.1.1). One pass over the
// octets serves all levels, so that nesting costs nothing.
type treeReader struct {
	br    *bufio.Reader
	open  []string // the open multiparts' boundaries with their dashes, innermost last
	work  *int64   // octets that may still be read
	start bool     // the next octet begins a line
	eol   []byte   // a line end read and not given out: it may belong to a boundary line
	pend  []byte   // octets read and not given out, before what br has
	hit   int      // index in open of the boundary line reached, -1 for none
	last  bool     // the boundary line reached was a closing one
	err   error    // io.EOF at the end of the source, an error of it, or the limit
	keep  []byte   // of pend, where octets have to outlive the buffer
}

// treeBuffers keeps the buffers of walks that are over.
var treeBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 8<<10) }}

func newTreeReader(r io.Reader, work *int64) *treeReader {
	br := treeBuffers.Get().(*bufio.Reader)
	br.Reset(r)
	return &treeReader{br: br, work: work, start: true, hit: -1}
}

// close gives the buffer back. Whoever kept a part's reader beyond the walk
// finds it at its end, and never another message in it.
func (t *treeReader) close() {
	if t.err == nil {
		t.err = io.EOF
	}
	t.pend, t.eol = nil, nil
	t.br.Reset(nil)
	treeBuffers.Put(t.br)
	t.br = nil
}

// stopped reports whether a boundary or the end was reached.
func (t *treeReader) stopped() bool { return t.hit >= 0 || t.err != nil }

// failed returns why the source ended, if that was not its end.
func (t *treeReader) failed() error {
	if errors.Is(t.err, io.EOF) {
		return nil
	}
	return t.err
}

// resume goes on behind the boundary line reached.
func (t *treeReader) resume() {
	t.hit, t.last, t.start = -1, false, true
	t.eol, t.pend = nil, nil
}

// line reads the next line, or a piece of a long one, without its end; eol is
// its end. It reports false at a boundary line and at the end.
func (t *treeReader) line() (text, eol []byte, ok bool) {
	if t.stopped() {
		return nil, nil, false
	}
	line, err := t.br.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		t.err = err
		if len(line) == 0 {
			return nil, nil, false
		}
	}
	if *t.work -= int64(len(line)); *t.work < 0 {
		t.err = Defect{Kind: TooMuchWork, Offset: -1}
		return nil, nil, false
	}
	begins := t.start
	t.start = line[len(line)-1] == '\n'
	if begins && len(line) > 2 && line[0] == '-' && line[1] == '-' {
		if t.match(line) {
			return nil, nil, false
		}
	}
	n := len(line)
	if t.start {
		n--
		if n > 0 && line[n-1] == '\r' {
			n--
		}
	} else if line[n-1] == '\r' && t.err == nil {
		n-- // the buffer ends between CR and LF: leave the CR for the next time
		if n == 0 {
			return line, nil, true
		}
		_ = t.br.UnreadByte() // one octet was just read
		*t.work++
	}
	return line[:n], line[n:lineLen(line, n, t.start)], true
}

func lineLen(line []byte, n int, ended bool) int {
	if ended {
		return len(line)
	}
	return n
}

// match looks whether a line is the boundary line of an open multipart.
func (t *treeReader) match(line []byte) bool {
	for i := len(t.open) - 1; i >= 0; i-- {
		is, last := boundaryLine(line, t.open[i])
		if !is {
			continue
		}
		t.hit, t.last = i, last
		if errors.Is(t.err, io.EOF) {
			t.err = nil // the end is found again behind this line
		}
		return true
	}
	return false
}

// openBoundary is what the boundary lines of a multipart begin with.
func openBoundary(param string) string { return "--" + strings.TrimRight(param, " \t") }

// boundaryLine reports whether a line is the boundary line that open begins, and
// whether it is the closing one (RFC 2046 §5.1.1).
func boundaryLine(line []byte, open string) (is, last bool) {
	if len(line) < len(open) || string(line[:len(open)]) != open {
		return false, false
	}
	rest := line[len(open):]
	if last = len(rest) >= 2 && rest[0] == '-' && rest[1] == '-'; last {
		rest = rest[2:]
	}
	return isBlank(rest), last
}

func isBlank(s []byte) bool {
	for _, c := range s {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// Read gives the octets up to the next boundary line or the end, without the
// line end that belongs to the boundary.
func (t *treeReader) Read(p []byte) (int, error) {
	for len(t.pend) == 0 {
		if len(t.open) == 0 && t.hit < 0 && t.err == nil && len(t.eol) == 0 {
			return t.direct(p)
		}
		text, eol, ok := t.line()
		if !ok {
			if err := t.endOfPart(); err != nil {
				return 0, err
			}
			continue
		}
		t.pend = text
		if len(t.eol) > 0 {
			if n := copy(p, t.eol); n == len(t.eol) && len(p) > n+len(text) {
				// The usual case: the held line end and the whole line fit.
				n += copy(p[n:], text)
				t.pend, t.eol = nil, t.holdEOL(eol)
				return n, nil
			}
			t.keep = append(append(t.keep[:0], t.eol...), text...)
			t.pend = t.keep
		}
		t.eol = t.holdEOL(eol)
	}
	n := copy(p, t.pend)
	t.pend = t.pend[n:]
	return n, nil
}

// The two line ends there are; holdEOL never points into a buffer.
var eolCRLF, eolLF = []byte("\r\n"), []byte("\n")

func (t *treeReader) holdEOL(eol []byte) []byte {
	switch len(eol) {
	case 2:
		return eolCRLF
	case 1:
		return eolLF
	}
	return nil
}

// endOfPart gives out the line end that was held if no boundary follows it.
func (t *treeReader) endOfPart() error {
	if t.hit < 0 && len(t.eol) > 0 && errors.Is(t.err, io.EOF) {
		t.pend, t.eol = t.eol, nil
		return nil
	}
	t.eol = nil
	if t.hit >= 0 {
		return io.EOF
	}
	return t.err
}

// direct reads past the lines when no multipart is open.
func (t *treeReader) direct(p []byte) (int, error) {
	n, err := t.br.Read(p)
	if n > 0 {
		t.start = p[n-1] == '\n'
	}
	if *t.work -= int64(n); *t.work < 0 {
		err = Defect{Kind: TooMuchWork, Offset: -1}
	}
	if err != nil {
		t.err = err
	}
	return n, err
}

// skip reads on to the next boundary line or the end.
func (t *treeReader) skip() {
	t.pend, t.eol = nil, nil
	for {
		if _, _, ok := t.line(); !ok {
			return
		}
	}
}

// header reads a part's header section, at most max octets of it.
func (t *treeReader) header(max int) head {
	pooled := headBuffers.Get().(*headBuffer)
	defer pooled.free()
	scan := headerScan{fields: pooled.marks[:0]}
	buf := pooled.text[:0]
	defer func() { pooled.text, pooled.marks = buf, scan.fields }()
	for {
		text, eol, ok := t.line()
		if ok {
			buf = append(append(buf, text...), eol...)
		}
		ended := ok && len(eol) > 0
		if !ended && ok && len(buf) <= max {
			continue // a piece of a line
		}
		if !ok && len(buf) > 0 && t.hit >= 0 {
			// The last line end belongs to the boundary line, but a header whose
			// lines are all there has one of its own.
			scan.take(scan.more(buf, true), max)
			return t.giveBack(takeHead(&scan, buf, string(buf), nil))
		}
		if found := scan.more(buf, !ok); found || len(buf) > max {
			scan.take(found, max)
			return t.giveBack(takeHead(&scan, buf, string(buf), nil))
		}
	}
}

// giveBack makes what was read beyond the header the start of the body.
func (t *treeReader) giveBack(h head) head {
	rest := h.text[h.used:]
	n := len(rest)
	if n > 0 && rest[n-1] == '\n' {
		n--
		if n > 0 && rest[n-1] == '\r' {
			n--
		}
	}
	t.pend = []byte(rest[:n])
	t.eol = t.holdEOL([]byte(rest[n:]))
	return h
}
