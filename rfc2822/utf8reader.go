package rfc2822

import (
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// utf8Reader passes UTF-8 on and replaces what is none by U+FFFD.
type utf8Reader struct {
	src  io.Reader
	pend []byte // repaired text not given out yet
	buf  []byte
	cut  [utf8.UTFMax]byte
	n    int // octets in cut: the start of a character whose rest is to come
	err  error
}

func (r *utf8Reader) Read(p []byte) (int, error) {
	for len(r.pend) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if len(p) < 2*utf8.UTFMax {
			var buf [64]byte
			n := r.fill(buf[:])
			r.pend = append(append([]byte(nil), buf[:n]...), r.pend...)
			continue
		}
		if n := r.fill(p); n > 0 {
			return n, nil
		}
	}
	n := copy(p, r.pend)
	r.pend = r.pend[n:]
	return n, nil
}

// fill reads into p what is UTF-8, and puts the rest into pend.
func (r *utf8Reader) fill(p []byte) int {
	k := copy(p, r.cut[:r.n])
	r.n = 0
	n, err := readSome(r.src, p[k:])
	r.err = err
	text := p[:k+n]
	if err == nil {
		text = text[:len(text)-unfinished(text)]
		r.n = copy(r.cut[:], p[len(text):k+n])
	}
	if utf8.Valid(text) {
		return len(text)
	}
	r.buf = r.buf[:0]
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text) // one U+FFFD an octet, however the octets arrive
		r.buf = utf8.AppendRune(r.buf, c)
		text = text[n:]
	}
	r.pend = r.buf
	return 0
}

// unfinished is how many octets at the end of p begin a character that more
// octets may complete.
func unfinished(p []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		c := p[len(p)-i]
		if utf8.RuneStart(c) {
			if c >= 0x80 && !utf8.FullRune(p[len(p)-i:]) {
				return i
			}
			return 0
		}
	}
	return 0
}

// charmapReader turns a charset of single octets into UTF-8; most text in them
// is ASCII, and passes through.
type charmapReader struct {
	src  io.Reader
	cm   *charmap.Charmap
	pend []byte // decoded, not given out yet
	buf  []byte
	err  error
}

func (r *charmapReader) Read(p []byte) (int, error) {
	if len(r.pend) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := readSome(r.src, p)
		r.err = err
		ascii := asciiPrefix(p[:n])
		if ascii > 0 || n == 0 {
			r.decode(p[ascii:n])
			if ascii > 0 {
				return ascii, nil
			}
			return 0, err
		}
		r.decode(p[:n])
	}
	n := copy(p, r.pend)
	r.pend = r.pend[n:]
	return n, nil
}

func (r *charmapReader) decode(p []byte) {
	r.buf = r.buf[:0]
	for _, c := range p {
		r.buf = utf8.AppendRune(r.buf, r.cm.DecodeByte(c))
	}
	r.pend = r.buf
}

func asciiPrefix(p []byte) int {
	for i, c := range p {
		if c >= 0x80 {
			return i
		}
	}
	return len(p)
}
