package rfc2822

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// headerScan finds the end of a header section in octets that arrive piece by
// piece. It looks at each octet once and remembers only where it stands.
type headerScan struct {
	pos    int // start of the first line not yet judged
	seen   int // no line end between pos and here
	fields []mark
	lines  int  // lines seen
	crlf   int  // how many of them end in CRLF
	long   bool // one of them exceeds 998 octets
	odd    bool // one that was marked is no field
	junk   bool // the line before pos is junk if a field follows it
	junkAt int
	end    int  // length of the fields; the body or the empty line follows
	sep    int  // length of the empty line, 0 if there is none
	cutOff bool // the limit came before the end

	boundary string // what the topmost Content-Type says, as far as looked; see atBoundary
	looked   int    // how many fields were looked at for it
}

// mark says where a field or a junk line begins, and how long its name is and
// where its body begins, counted from there; 0 for a junk line. A name and its
// colon are within hardLine.
type mark struct {
	start      uint32
	name, body uint16
}

// more judges the lines of buf that are complete (all of them if eof), buf
// being everything so far. It reports whether the end was found.
func (s *headerScan) more(buf []byte, eof bool) bool {
	for s.pos < len(buf) {
		from := max(s.pos, s.seen)
		nl := bytes.IndexByte(buf[from:], '\n')
		next := from + nl + 1
		if nl < 0 {
			s.seen = len(buf)
			if !eof && !s.hopeless(buf[s.pos:]) {
				return false
			}
			next = len(buf)
		}
		line := buf[s.pos:next]
		s.lines++
		if n := len(line); n >= 2 && line[n-2] == '\r' && line[n-1] == '\n' {
			s.crlf++
		}
		s.long = s.long || len(line) > hardLine
		if isFold(line) && len(s.fields) > 0 {
			s.pos = next
			continue // nearly half of the lines of a header
		}
		if s.line(line, buf) {
			return true
		}
		s.pos = next
	}
	if !eof {
		return false
	}
	s.stop(len(buf), 0)
	return true
}

// hopeless says of the start of a line that it cannot become a field, so that
// a body without header is not read to its limit in search of a line end.
func (s *headerScan) hopeless(start []byte) bool {
	return len(s.fields) == 0 && !isFold(start) && !isField(start) && !isMboxFrom(start) && len(start) > hardLine
}

// line judges one line of buf and reports whether the header ends at or before it.
func (s *headerScan) line(line, buf []byte) bool {
	if n := emptyLine(line); n > 0 {
		s.stop(s.pos, n)
		return true
	}
	if isFold(line) {
		if len(s.fields) == 0 {
			s.junk, s.junkAt = true, 0 // a continuation of nothing: junk if a field follows
			s.mark(0, 0)
		}
		return false
	}
	name, body := splitName(line)
	switch {
	case name > 0:
		s.junk = false
	case len(s.fields) == 0 && isMboxFrom(line):
	case len(s.fields) == 0:
		s.stop(0, 0)
		return true
	case s.junk:
		// Two lines in a row that are no fields: this is the body.
		s.stop(s.junkAt, 0)
		return true
	case s.atBoundary(line, buf):
		s.stop(s.pos, 0)
		return true
	default:
		s.junk, s.junkAt = true, s.pos
	}
	s.mark(name, body)
	return false
}

// atBoundary reports whether a line is the boundary line of the multipart whose
// header this is: the empty line before it was forgotten, or has blanks in it.
func (s *headerScan) atBoundary(line, buf []byte) bool {
	if !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	for ; s.boundary == "" && s.looked < len(s.fields); s.looked++ {
		m, next := s.fields[s.looked], s.pos
		if s.looked+1 < len(s.fields) {
			next = int(s.fields[s.looked+1].start)
		}
		if f := buf[m.start:next]; bytes.EqualFold(f[:m.name], []byte("Content-Type")) {
			_, params, _ := ParseMediaType(string(bytes.Trim(f[m.body:], " \t\r\n")))
			s.boundary = cmp.Or(params["boundary"], " ") // a blank is none, and looked for no more
		}
	}
	is, _ := boundaryLine(line, openBoundary(s.boundary))
	return is && strings.TrimSpace(s.boundary) != ""
}

func (s *headerScan) mark(name, body int) {
	s.odd = s.odd || name == 0
	s.fields = append(s.fields, mark{uint32(s.pos), uint16(name), uint16(body)})
}

// stop ends the header at end. A junk line that no field followed was the
// body's first line.
func (s *headerScan) stop(end, sep int) {
	if s.junk {
		end, sep = s.junkAt, 0
	}
	s.end, s.sep = end, sep
	s.trim()
}

// trim forgets what was marked beyond the end.
func (s *headerScan) trim() {
	n := len(s.fields)
	for n > 0 && int(s.fields[n-1].start) >= s.end {
		n--
	}
	s.fields = s.fields[:n]
}

// take says how long the section is that was found, or cuts it off at max.
func (s *headerScan) take(found bool, max int) int {
	if s.cutOff = !found || s.end > max; s.cutOff {
		s.cut(max)
	}
	return s.end + s.sep
}

// cut ends the header at the limit: at the start of the line that crosses it,
// or in the middle of the only line.
func (s *headerScan) cut(limit int) {
	s.end, s.sep = s.pos, 0
	if s.pos == 0 || s.pos > limit {
		s.end = limit
	}
	s.trim()
}

// clean reports whether text, the section found, needs no search for what is
// wrong with its lines. It may say no of a section that has no defect.
func (s *headerScan) clean(text []byte) bool {
	return !s.long && !s.odd && (s.crlf == s.lines || s.crlf == 0) && bytes.Count(text, []byte{'\r'}) == s.crlf &&
		bytes.IndexByte(text, 0) < 0 && (allASCII(text) || utf8.Valid(text))
}

// allASCII looks at 32 octets at a time, which is most of what a scan costs
// beyond the copy.
func allASCII(p []byte) bool {
	const high = 0x8080808080808080
	for len(p) >= 32 {
		word := binary.LittleEndian.Uint64(p) | binary.LittleEndian.Uint64(p[8:]) |
			binary.LittleEndian.Uint64(p[16:]) | binary.LittleEndian.Uint64(p[24:])
		if word&high != 0 {
			return false
		}
		p = p[32:]
	}
	for _, c := range p {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// splitName looks at a line that is no continuation: how long the field's name
// is and where its body begins, or 0, 0 if it is no field. A colon beyond a
// line's length is none, so that no endless line has to be kept for it.
func splitName(line []byte) (name, body int) {
	line = line[:min(len(line), hardLine)]
	for i, c := range line {
		if nameOctet[c] {
			continue
		}
		if c == ':' && i > 0 {
			return i, i + 1
		}
		if i == 0 || c != ' ' && c != '\t' {
			return 0, 0
		}
		// RFC 5322 §4.5: an obsolete field may have blanks before the colon.
		for j, d := range line[i:] {
			if d == ':' {
				return i, i + j + 1
			}
			if d != ' ' && d != '\t' {
				return 0, 0
			}
		}
		return 0, 0
	}
	return 0, 0
}

// nameOctet: what a field name is made of (RFC 5322 §3.6.8).
var nameOctet = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = c != ':'
	}
	return t
}()

func isField(line []byte) bool {
	name, _ := splitName(line)
	return name > 0
}

func isFold(line []byte) bool { return len(line) > 0 && (line[0] == ' ' || line[0] == '\t') }

func emptyLine(line []byte) int {
	switch {
	case len(line) == 1 && line[0] == '\n':
		return 1
	case len(line) == 2 && line[0] == '\r' && line[1] == '\n':
		return 2
	}
	return 0
}

func isMboxFrom(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}
