package rfc2822

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
)

// unhex is the value of a hexadecimal digit, or -1.
var unhex = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i, c := range []byte("0123456789ABCDEF") {
		t[c] = int8(i)
	}
	for i, c := range []byte("abcdef") {
		t[c] = int8(i) + 10
	}
	return t
}()

const (
	b64Skip = iota // no base64, and no harm: blanks and line ends
	b64Data
	b64Pad
	b64Bad
)

// b64Kind says what an octet is in base64 data (RFC 2045 §6.8).
var b64Kind = func() (t [256]uint8) {
	for i := range t {
		t[i] = b64Bad
	}
	for _, c := range []byte(base64Alphabet) {
		t[c] = b64Data
	}
	for _, c := range []byte(" \t\r\n") {
		t[c] = b64Skip
	}
	t['='] = b64Pad
	return t
}()

// base64Reader decodes base64 and gives what can be decoded: octets that do not
// belong are skipped, and what stands behind the padding is left out.
type base64Reader struct {
	src  io.Reader
	in   [1024]byte
	quad [1024 + 4]byte // data octets of in, behind up to three left over
	left int            // how many are left over
	out  [768 + 3]byte
	pend []byte // of out
	done bool   // the padding was seen, or the end
	bad  bool
	err  error
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.pend) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.pend)
	r.pend = r.pend[n:]
	return n, nil
}

func (r *base64Reader) fill() {
	n, err := readSome(r.src, r.in[:])
	r.err = err
	k := r.left
	for _, c := range r.in[:n] {
		switch b64Kind[c] {
		case b64Data:
			if r.done {
				r.bad = true
				continue
			}
			r.quad[k] = c
			k++
		case b64Pad:
			r.done = true
		case b64Bad:
			r.bad = true
		}
	}
	whole := k / 4 * 4
	if r.done || err != nil {
		r.bad = r.bad || k%4 == 1
		r.decode(k - k%4)
		r.tail(r.quad[whole:k])
		r.left = 0
		return
	}
	r.decode(whole)
	r.left = copy(r.quad[:], r.quad[whole:k])
}

func (r *base64Reader) decode(n int) {
	m, _ := base64.StdEncoding.Decode(r.out[:], r.quad[:n]) // only octets of the alphabet
	r.pend = r.out[:m]
}

// tail decodes the last two or three octets.
func (r *base64Reader) tail(rest []byte) {
	if len(rest) < 2 {
		return
	}
	m, _ := base64.RawStdEncoding.Decode(r.out[len(r.pend):], rest)
	r.pend = r.out[:len(r.pend)+m]
}

// qpReader decodes quoted-printable (RFC 2045 §6.7) and gives what can be
// decoded: what is no escape stays as it is.
type qpReader struct {
	src   *bufio.Reader
	carry []byte // the end of a piece of a long line that could not be judged yet
	buf   []byte
	pend  []byte // of buf
	bad   bool
	err   error
}

func newQPReader(r io.Reader) *qpReader { return &qpReader{src: bufio.NewReaderSize(r, 2048)} }

func (r *qpReader) Read(p []byte) (int, error) {
	for len(r.pend) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.pend)
	r.pend = r.pend[n:]
	return n, nil
}

func (r *qpReader) fill() {
	line, err := r.src.ReadSlice('\n')
	if len(r.carry) > 0 {
		r.carry = append(r.carry, line...)
		line = r.carry
	}
	var rest []byte
	if errors.Is(err, bufio.ErrBufferFull) {
		keep := judged(line)
		line, rest, err = line[:keep], line[keep:], nil
	}
	r.buf = r.decode(r.buf[:0], line, err != nil)
	r.pend, r.err = r.buf, err
	r.carry = append(r.carry[:0], rest...)
}

// judged is how much of an unfinished line can be decoded without the rest: not
// an escape cut in two, not blanks that may be the line's last.
func judged(line []byte) int {
	n := len(line)
	for n > 0 && (line[n-1] == ' ' || line[n-1] == '\t' || line[n-1] == '\r') {
		n--
	}
	if n == 0 || len(line)-n > 1024 {
		return len(line) // so many blanks are text
	}
	if i := bytes.LastIndexByte(line[max(0, n-2):n], '='); i >= 0 {
		n = max(0, n-2) + i
	}
	if n == 0 {
		return len(line)
	}
	return n
}

// decode appends the decoded line, which may be a piece of one, or the last.
func (r *qpReader) decode(dst, line []byte, last bool) []byte {
	text := bytes.TrimRight(line, "\r\n")
	eol := line[len(text):]
	if len(eol) > 0 {
		text = bytes.TrimRight(text, " \t") // blanks at a line's end were added on the way (rule 3)
	}
	if n := len(text); (last || len(eol) > 0) && n > 0 && text[n-1] == '=' {
		text, eol = text[:n-1], nil
	}
	for {
		i := bytes.IndexByte(text, '=')
		if i < 0 {
			break
		}
		dst = append(dst, text[:i]...)
		if i+2 < len(text) && unhex[text[i+1]] >= 0 && unhex[text[i+2]] >= 0 {
			dst = append(dst, byte(unhex[text[i+1]]<<4|unhex[text[i+2]]))
			text = text[i+3:]
			continue
		}
		r.bad = true
		dst = append(dst, '=')
		text = text[i+1:]
	}
	dst = append(dst, text...)
	return append(dst, eol...)
}
