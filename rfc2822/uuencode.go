package rfc2822

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// uuReader decodes a uuencoded body, as mail before MIME has it: what stands
// between its begin and its end line.
type uuReader struct {
	src   *bufio.Reader
	begun bool
	ended bool
	pend  []byte
	bad   bool
	err   error
}

func newUUReader(r io.Reader) *uuReader { return &uuReader{src: bufio.NewReaderSize(r, 1024)} }

func (r *uuReader) Read(p []byte) (int, error) {
	for len(r.pend) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		line, err := r.src.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			r.bad, err = true, nil
		}
		r.err = err
		r.line(bytes.TrimRight(line, "\r\n"))
	}
	n := copy(p, r.pend)
	r.pend = r.pend[n:]
	return n, nil
}

func (r *uuReader) line(s []byte) {
	switch {
	case !r.begun:
		r.begun = bytes.HasPrefix(s, []byte("begin "))
		return
	case bytes.Equal(s, []byte("end")):
		r.ended = true // what follows is text again
		return
	case r.ended || len(s) == 0 || s[0] == '`':
		return
	}
	n := int(s[0]-' ') & 63
	out := make([]byte, 0, n+3)
	for s = s[1:]; len(out) < n && len(s) > 0; s = s[min(4, len(s)):] {
		var v uint32
		for i := range 4 {
			v <<= 6
			if i >= len(s) || s[i] < ' ' || s[i] > '`' {
				r.bad = true
				continue
			}
			v |= uint32(s[i]-' ') & 63
		}
		out = append(out, byte(v>>16), byte(v>>8), byte(v))
	}
	r.bad = r.bad || len(out) < n
	r.pend = out[:min(n, len(out))]
}
