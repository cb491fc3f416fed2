package smtp

import (
	"bytes"
	"io"
)

// needs is what a message asks of the servers it passes through.
type needs struct {
	size       int64 // octets
	eightBit   bool  // octets above 127: 8BITMIME (RFC 6152)
	utf8Header bool  // octets above 127 in the header section: SMTPUTF8 (RFC 6531)
	// binary: NUL, or CR or LF on its own, or a line of more than 998 octets:
	// BINARYMIME (RFC 3030), if it is to arrive as it is.
	binary bool
}

// body is the value of the BODY parameter.
func (n needs) body() Body {
	switch {
	case n.binary:
		return BodyBinaryMIME
	case n.eightBit:
		return Body8BitMIME
	}
	return Body7Bit
}

// maxTextLine is the longest line in octets without CRLF (RFC 5321
// §4.5.3.1.6).
const maxTextLine = 998

// inspect reads a message to its end and says what it needs. Only its own
// header section counts as header; those of parts and attached messages are
// looked at by nobody on the way who would mind.
func inspect(r io.Reader) (needs, error) {
	i := inspector{header: true}
	buf := sendPool.Get().(*[chunkHead + sendChunk]byte)
	defer sendPool.Put(buf)
	for {
		n, err := r.Read(buf[:])
		i.write(buf[:n])
		if err == io.EOF {
			i.needs.binary = i.needs.binary || i.cr || i.line > maxTextLine
			return i.needs, nil
		}
		if err != nil {
			return i.needs, err
		}
	}
}

type inspector struct {
	needs  needs
	header bool
	cr     bool // the last octet was CR
	line   int  // octets in the line so far
}

func (i *inspector) write(p []byte) {
	n := &i.needs
	n.size += int64(len(p))
	if !n.binary && bytes.IndexByte(p, 0) >= 0 {
		n.binary = true
	}
	for len(p) > 0 {
		text, rest, ended := bytes.Cut(p, []byte{'\n'})
		p = rest
		if i.cr && len(text) > 0 { // CR and then something else than LF
			n.binary = true
		}
		crlf := i.cr && len(text) == 0
		if len(text) > 0 {
			crlf = text[len(text)-1] == '\r'
			if at := bytes.IndexByte(text, '\r'); at >= 0 && at < len(text)-1 {
				n.binary = true
			}
		}
		if (!n.eightBit || i.header && !n.utf8Header) && !isASCIIBytes(text) {
			n.eightBit = true
			n.utf8Header = n.utf8Header || i.header
		}
		i.line += len(text)
		if !ended {
			i.cr = crlf || i.cr && len(text) == 0
			return
		}
		length := i.line
		if crlf {
			length--
		} else {
			n.binary = true // bare LF
		}
		n.binary = n.binary || length > maxTextLine
		i.header = i.header && length > 0
		i.cr, i.line = false, 0
	}
}

func isASCIIBytes(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
