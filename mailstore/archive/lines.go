package archive

import (
	"bytes"
	"io"
)

// crlfWriter gives every LF that has no CR before it one.
type crlfWriter struct {
	w      io.Writer
	n      int64 // octets written to w
	lastCR bool
	buf    []byte
}

func (c *crlfWriter) Write(p []byte) (int, error) {
	buf := c.buf[:0]
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			buf = append(buf, rest...)
			c.lastCR = rest[len(rest)-1] == '\r'
			break
		}
		if i > 0 {
			c.lastCR = rest[i-1] == '\r'
		}
		buf = append(buf, rest[:i]...)
		if !c.lastCR {
			buf = append(buf, '\r')
		}
		buf = append(buf, '\n')
		c.lastCR = false
		rest = rest[i+1:]
	}
	c.buf = buf
	n, err := c.w.Write(buf)
	c.n += int64(n)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// lfReader turns CRLF into LF.
type lfReader struct {
	r    io.Reader
	cr   bool // one is owed
	err  error
	in   [4096]byte
	have []byte
}

func (l *lfReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(l.have) == 0 {
			if n > 0 {
				return n, nil
			}
			if l.err != nil {
				if l.cr {
					l.cr = false
					p[0] = '\r'
					return 1, nil
				}
				return 0, l.err
			}
			var k int
			k, l.err = l.r.Read(l.in[:])
			l.have = l.in[:k]
			continue
		}
		c := l.have[0]
		if l.cr && c != '\n' {
			p[n], l.cr = '\r', false
			n++
			continue
		}
		l.have = l.have[1:]
		l.cr = c == '\r'
		if !l.cr {
			p[n] = c
			n++
		}
	}
	return n, nil
}
