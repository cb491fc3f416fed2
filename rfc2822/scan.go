package rfc2822

import "bytes"

// headerScan finds the end of a header section in octets that arrive piece by
// piece. It looks at each octet once and remembers only where it stands.
type headerScan struct {
	pos    int  // start of the first line not yet judged
	fields int  // fields and junk lines seen, for the size of the list
	junk   bool // the line before pos is junk if a field follows it
	junkAt int
	end    int // length of the fields; the body or the empty line follows
	sep    int // length of the empty line, 0 if there is none
}

// more judges the lines of buf that are complete (all of them if eof), buf
// being everything so far. It reports whether the end was found.
func (s *headerScan) more(buf []byte, eof bool) bool {
	for s.pos < len(buf) {
		nl := bytes.IndexByte(buf[s.pos:], '\n')
		next := s.pos + nl + 1
		if nl < 0 {
			if !eof && !s.hopeless(buf[s.pos:]) {
				return false
			}
			next = len(buf)
		}
		if s.line(buf[s.pos:next]) {
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
	return s.fields == 0 && !isFold(start) && classify(start) == lineJunk && !isMboxFrom(start) && len(start) > hardLine
}

// line judges one line and reports whether the header ends at or before it.
func (s *headerScan) line(line []byte) bool {
	if n := emptyLine(line); n > 0 {
		s.stop(s.pos, n)
		return true
	}
	switch {
	case isFold(line):
		if s.fields == 0 {
			s.junk, s.junkAt = true, 0 // a continuation of nothing: junk if a field follows
			s.fields++
		}
		return false
	case classify(line) == lineField:
		s.junk = false
		s.fields++
		return false
	case s.fields == 0 && isMboxFrom(line):
		s.fields++
		return false
	case s.fields == 0:
		s.stop(0, 0)
		return true
	case s.junk:
		// Two lines in a row that are no fields: this is the body.
		s.stop(s.junkAt, 0)
		return true
	}
	s.junk, s.junkAt = true, s.pos
	s.fields++
	return false
}

// stop ends the header at end. A junk line that no field followed was the
// body's first line.
func (s *headerScan) stop(end, sep int) {
	if s.junk {
		end, sep = s.junkAt, 0
	}
	s.end, s.sep = end, sep
}

// cut ends the header at the limit: at the start of the line that crosses it,
// or in the middle of the only line.
func (s *headerScan) cut(limit int) {
	s.end, s.sep = s.pos, 0
	if s.pos == 0 || s.pos > limit {
		s.end = limit
	}
}

type lineKind uint8

const (
	lineJunk lineKind = iota
	lineField
)

// classify looks at a line that is no continuation.
func classify(line []byte) lineKind {
	for i, c := range line {
		switch {
		case c == ':':
			if i > 0 {
				return lineField
			}
			return lineJunk
		case c == ' ' || c == '\t':
			rest := bytes.TrimLeft(line[i:], " \t")
			if i > 0 && len(rest) > 0 && rest[0] == ':' {
				return lineField
			}
			return lineJunk
		case c < ' ' || c >= 0x7f:
			return lineJunk
		}
	}
	return lineJunk
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
