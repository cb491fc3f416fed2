package dkim

import (
	"hash"
	"slices"
	"strings"
	"sync"
)

// field is where one header field stands in the text of its header.
type field struct {
	start, end int32 // with its line end
	name       int32 // the end of its name
	above      int32 // the next field above it of the same name, or -1
}

// next finds the field that begins at an offset. Lines end with LF or CRLF; what
// begins with white space goes on with the field above. A line without colon is a field
// without name. Nothing follows an empty line.
func next(text string, start int) (f field, ok bool) {
	end := lineEnd(text, start)
	if strings.Trim(text[start:end], "\r\n") == "" {
		return field{}, false
	}
	first := text[start:end]
	for end < len(text) && (text[end] == ' ' || text[end] == '\t') {
		end = lineEnd(text, end)
	}
	name := strings.IndexByte(first, ':')
	for name > 0 && (first[name-1] == ' ' || first[name-1] == '\t') {
		name--
	}
	return field{start: int32(start), end: int32(end), name: int32(start + max(name, 0)), above: -1}, true
}

// lineEnd is the offset behind the line that begins at start.
func lineEnd(text string, start int) int {
	if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
		return start + i + 1
	}
	return len(text)
}

// header finds fields by name, from the lowest to the topmost, as signatures name them
// (RFC 6376 §5.4.2).
type header struct {
	text   string
	fields []field
	ids    map[string]int32 // lower-case names
	lowest []int32          // the lowest field of each name
	turn   []int32          // for each name, the field that is next in the signature at hand
	buf    []byte
}

// headers are indexes that nobody uses, of usual headers. They hold no text.
var headers = sync.Pool{New: func() any { return &header{ids: make(map[string]int32, 24), buf: make([]byte, 0, 2048)} }}

// Of a longer header no index is kept for the next one.
const (
	mostPooledFields = 256
	mostPooledOctets = 16 << 10
)

// free gives the index back. It is not to be used any more.
func (h *header) free() {
	if h == nil || len(h.fields) > mostPooledFields || cap(h.buf) > mostPooledOctets {
		return
	}
	clear(h.ids)
	h.text, h.fields, h.lowest, h.turn, h.buf = "", h.fields[:0], h.lowest[:0], h.turn[:0], h.buf[:0]
	headers.Put(h)
}

// newHeader indexes a header of n fields.
func newHeader(text string, n int) *header {
	h := headers.Get().(*header)
	h.text, h.fields = text, slices.Grow(h.fields, n)
	for at := 0; at < len(text); {
		f, ok := next(text, at)
		if !ok {
			break
		}
		at = int(f.end)
		h.buf = appendLower(h.buf, text[f.start:f.name])
		h.fields = append(h.fields, f)
	}
	names := string(h.buf) // one string for all
	h.lowest = slices.Grow(h.lowest, 24)
	for i := range h.fields {
		f := &h.fields[i]
		length := f.name - f.start
		name := names[:length]
		names = names[length:]
		id, known := h.ids[name]
		if !known {
			id = int32(len(h.lowest))
			h.ids[name] = id
			h.lowest = append(h.lowest, -1)
		}
		f.above = h.lowest[id]
		h.lowest[id] = int32(i)
	}
	return h
}

// count is how many fields have a name.
func (h *header) count(name string) (n int) {
	var room [64]byte
	id, ok := h.ids[string(appendLower(room[:0], name))]
	if !ok {
		return 0
	}
	for i := h.lowest[id]; i >= 0; i = h.fields[i].above {
		n++
	}
	return n
}

// sum hashes the fields that a list of names chooses, but not the one at own, which is
// the signature itself.
func (h *header) sum(to hash.Hash, names string, relaxed bool, own int32) {
	h.turn = append(h.turn[:0], h.lowest...)
	var room [64]byte
	h.buf = h.buf[:0]
	for name := range strings.SplitSeq(names, ":") {
		id, ok := h.ids[string(appendLower(room[:0], trim(name)))]
		if !ok {
			continue // nothing is hashed for a field that is not there
		}
		i := h.turn[id]
		if i >= 0 && h.fields[i].start == own {
			i = h.fields[i].above
		}
		if i < 0 {
			continue
		}
		f := h.fields[i]
		h.turn[id] = f.above
		raw := h.text[f.start:f.end]
		if relaxed {
			h.buf = appendRelaxed(h.buf, raw, int(f.name-f.start))
			h.buf = append(h.buf, "\r\n"...)
		} else {
			h.buf = append(h.buf, raw...)
		}
		if len(h.buf) >= 4096 {
			to.Write(h.buf)
			h.buf = h.buf[:0]
		}
	}
	to.Write(h.buf)
}

// appendRelaxed appends a field in relaxed form (RFC 6376 §3.4.2), without line end.
// Its name ends at an offset.
func appendRelaxed(dst []byte, raw string, name int) []byte {
	dst = appendLower(dst, raw[:name])
	value := raw[name:]
	if i := strings.IndexByte(value, ':'); i >= 0 {
		dst = append(dst, ':')
		value = value[i+1:]
	}
	begin := len(dst)
	for i := 0; i < len(value); {
		from := i
		for i < len(value) && !foldsAt(value, i) {
			i++
		}
		if i > from {
			if len(dst) > begin {
				dst = append(dst, ' ')
			}
			dst = append(dst, value[from:i]...)
		}
		for i < len(value) && foldsAt(value, i) {
			i++
		}
	}
	return dst
}

// foldsAt reports whether white space or a line end stands at an offset. A CR that no
// LF follows is text.
func foldsAt(s string, i int) bool {
	c := s[i]
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' && i+1 < len(s) && s[i+1] == '\n'
}

func appendLower(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
