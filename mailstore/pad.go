package mailstore

import "bytes"

// padding is the field that Pad makes. Nobody reads it.
const padding = "X-Padding:"

const (
	padLine    = 78               // octets of a line that Pad makes, at most, without its end (RFC 5322 §2.1.1)
	leastField = len(padding) + 2 // octets of the shortest, without its end
)

// Pad returns header text that is n octets longer than fields and says the same:
// for a place in a file that was kept free for fields before they were known. A few
// octets are blanks behind the colon of the first field, more are a field of their
// own, whose lines are as RFC 5322 §2.1.1 wants them. It stands behind the first field,
// or before one that is the only one: what fields end with belongs to the message below
// (rfc2822.Section.Seam), and nothing may come between. The text's own line ends, CRLF or LF,
// are used.
//
// ok is false where there is no room for so few octets: in the first line of
// fields, or because there are none; and where fields do not end with a line end.
func Pad(fields []byte, n int) (padded []byte, ok bool) {
	if n == 0 {
		return fields, true
	}
	eol := "\r\n"
	if i := bytes.IndexByte(fields, '\n'); i == 0 || i > 0 && fields[i-1] != '\r' {
		eol = "\n"
	}
	if n < 0 || len(fields) > 0 && !bytes.HasSuffix(fields, []byte(eol)) {
		return nil, false
	}
	padded = make([]byte, 0, len(fields)+n)
	if n >= leastField+len(eol) {
		first := fields[:firstField(fields, eol)]
		if len(first) == len(fields) {
			first = nil
		}
		padded = appendPadding(append(padded, first...), n, eol)
		return append(padded, fields[len(first):]...), true
	}
	line, _, _ := bytes.Cut(fields, []byte(eol))
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || colon == len(line)-1 || len(line)+n > maxLine {
		return nil, false
	}
	padded = append(padded, fields[:colon+1]...)
	padded = append(padded, bytes.Repeat([]byte{' '}, n)...)
	return append(padded, fields[colon+1:]...), true
}

// firstField is how many octets the first field has, with its end: 0 where the text
// begins with something else.
func firstField(fields []byte, eol string) (n int) {
	if bytes.HasPrefix(fields, []byte(eol)) || startsFolded(fields) {
		return 0
	}
	for n < len(fields) {
		n += bytes.Index(fields[n:], []byte(eol)) + len(eol)
		if !startsFolded(fields[n:]) {
			break
		}
	}
	return n
}

// startsFolded reports whether a line continues the one before it.
func startsFolded(line []byte) bool { return len(line) > 0 && (line[0] == ' ' || line[0] == '\t') }

// maxLine is how long a line may be, without its end (RFC 5322 §2.1.1).
const maxLine = 998

// appendPadding appends a field of n octets. Each of its lines has something in it
// that is no blank.
func appendPadding(to []byte, n int, eol string) []byte {
	to = append(append(to, padding...), ' ')
	n -= len(padding) + 1
	room := padLine - len(padding) - 1
	shortest := 2 + len(eol) // of a further line: a blank, a dot, its end
	for {
		dots := n - len(eol)
		if dots > room {
			dots = min(room, n-len(eol)-shortest)
		}
		to = append(to, bytes.Repeat([]byte{'.'}, dots)...)
		to = append(to, eol...)
		if n -= dots + len(eol); n == 0 {
			return to
		}
		to = append(to, ' ')
		n--
		room = padLine - 1
	}
}
