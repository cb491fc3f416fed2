package maildir

import (
	"bytes"
	"io"
	"os"
	"sync"
)

// folder turns CRLF into LF on the way in, across chunk borders, and notices
// what unfold would not give back: a bare LF, or CR CR LF.
type folder struct {
	pending bool // a CR at the end of the last chunk, not yet emitted
	lastCR  bool // the last octet emitted was a CR
}

// fold appends p to dst with CRLF as LF. If it meets something that cannot be
// folded it stops and returns how much of p it has taken; pending then tells
// whether a CR is still owed.
func (f *folder) fold(dst, p []byte) (out []byte, n int, ok bool) {
	for n < len(p) {
		seg, isLine := p[n:], false
		if i := bytes.IndexByte(seg, '\n'); i >= 0 {
			seg, isLine = seg[:i], true
		}
		// A CR held back belongs to a line end only if the LF comes at once.
		if f.pending && len(seg) > 0 {
			dst = append(dst, '\r')
			f.pending, f.lastCR = false, true
		}
		if len(seg) > 0 && seg[len(seg)-1] == '\r' {
			seg = seg[:len(seg)-1]
			f.pending = true
			n++
		}
		n += len(seg)
		if len(seg) > 0 {
			dst = append(dst, seg...)
			f.lastCR = seg[len(seg)-1] == '\r'
		}
		if !isLine {
			break
		}
		if !f.pending || f.lastCR {
			return dst, n, false
		}
		dst = append(dst, '\n')
		f.pending, f.lastCR = false, false
		n++
	}
	return dst, n, true
}

// unfold gives every LF that has no CR before it one.
type unfold struct {
	lastCR bool
}

// next converts a piece of src into dst and reports how much of each it used.
// dst must have room for at least two octets.
func (u *unfold) next(dst, src []byte) (nd, ns int) {
	for ns < len(src) && nd < len(dst) {
		seg := src[ns:]
		if i := bytes.IndexByte(seg, '\n'); i != 0 {
			if i > 0 {
				seg = seg[:i]
			}
			k := copy(dst[nd:], seg)
			nd, ns = nd+k, ns+k
			u.lastCR = src[ns-1] == '\r'
			continue
		}
		if !u.lastCR {
			if nd+2 > len(dst) {
				return nd, ns
			}
			dst[nd] = '\r'
			nd++
		}
		dst[nd] = '\n'
		nd, ns = nd+1, ns+1
		u.lastCR = false
	}
	return nd, ns
}

const chunk = 32 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// lineReader streams a file with CRLF line ends.
type lineReader struct {
	f    io.ReadCloser
	buf  *[chunk]byte
	have []byte // of buf, not yet converted
	conv unfold
	err  error
	one  [2]byte // for a reader that asks for a single octet
	left []byte
}

func newLineReader(f io.ReadCloser) *lineReader {
	return &lineReader{f: f, buf: chunks.Get().(*[chunk]byte)}
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.left) == 0 && len(p) < 2 {
		n, err := r.read(r.one[:])
		r.left = r.one[:n]
		if n == 0 {
			return 0, err
		}
	}
	if len(r.left) > 0 {
		n := copy(p, r.left)
		r.left = r.left[n:]
		return n, nil
	}
	return r.read(p)
}

// read needs room for two octets.
func (r *lineReader) read(p []byte) (int, error) {
	if r.buf == nil {
		return 0, os.ErrClosed
	}
	for len(r.have) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		var n int
		n, r.err = r.f.Read(r.buf[:])
		r.have = r.buf[:n]
		if n == 0 && r.err == nil {
			r.err = io.ErrNoProgress
		}
	}
	nd, ns := r.conv.next(p, r.have)
	r.have = r.have[ns:]
	return nd, nil
}

func (r *lineReader) Close() error {
	if r.buf == nil {
		return nil
	}
	chunks.Put(r.buf)
	r.buf, r.have, r.left = nil, nil, nil
	return r.f.Close()
}

// wireSize counts the octets lineReader would give.
func wireSize(r io.Reader) (disk, wire int64, err error) {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	lastCR := false
	for {
		n, err := r.Read(buf[:])
		p := buf[:n]
		disk += int64(n)
		wire += int64(n + bytes.Count(p, []byte{'\n'}) - bytes.Count(p, []byte("\r\n")))
		if n > 0 {
			if lastCR && p[0] == '\n' {
				wire--
			}
			lastCR = p[n-1] == '\r'
		}
		if err == io.EOF {
			return disk, wire, nil
		}
		if err != nil {
			return disk, wire, err
		}
	}
}
