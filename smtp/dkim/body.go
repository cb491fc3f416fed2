package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// body hashes one canonical form of a message's body, which comes in pieces of any
// size. It keeps a few kilobytes, however long the body is.
//
// What it has seen and not yet passed on stands in crlfs, space and cr, in this order: only
// what follows shows whether it is part of the canonical body.
type body struct {
	relaxed bool

	crlfs int64 // line ends: none but one is left if the body ends here
	space bool  // white space within a line, or at its end (relaxed only)
	cr    bool  // a CR: a line end if LF follows

	total int64 // octets of the canonical body
	sums  []*bodySum
	room  *[bodyBuffer]byte
	buf   []byte // in room
}

// bodySum is the hash of the first octets of a canonical body (l=, RFC 6376 §3.5).
type bodySum struct {
	hash hash.Hash
	left int64 // how many are still wanted; negative: all
}

// bodyBuffer is how much of a body is gathered before it is hashed.
const bodyBuffer = 2048

// bodyBuffers are those that nobody uses.
var bodyBuffers = sync.Pool{New: func() any { return new([bodyBuffer]byte) }}

func newBody(relaxed bool) *body {
	room := bodyBuffers.Get().(*[bodyBuffer]byte)
	return &body{relaxed: relaxed, room: room, buf: room[:0]}
}

// free gives the buffer back. Nothing is to be written any more.
func (b *body) free() {
	bodyBuffers.Put(b.room)
	b.room, b.buf = nil, nil
}

// sum has the first octets hashed, or all if length is negative.
func (b *body) sum(length int64) *bodySum {
	s := &bodySum{hash: sha256.New(), left: length}
	b.sums = append(b.sums, s)
	return s
}

// Write takes the next piece of the body.
func (b *body) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if b.crlfs == 0 && !b.space && !b.cr {
			n := b.unchanged(rest)
			b.pass(rest[:n])
			rest = rest[n:]
		}
		rest = rest[b.hold(rest):]
	}
	return len(p), nil
}

// unchanged counts the octets at the beginning of p that are the same in the canonical
// body, whatever follows p.
func (b *body) unchanged(p []byte) int {
	if b.relaxed {
		return unchangedRelaxed(p)
	}
	return unchangedSimple(p)
}

// unchangedRelaxed stops where white space or a line end has to be looked at more closely.
func unchangedRelaxed(p []byte) int {
	i := 0
	for {
		for i+8 < len(p) && isPlain(binary.LittleEndian.Uint64(p[i:]), p[i+8]) {
			i += 8
		}
		for far := i + 8; i < far; {
			if i >= len(p) {
				return i
			}
			c := p[i]
			switch {
			case !held(c):
				i++
			case c == ' ' && i+1 < len(p) && !held(p[i+1]):
				i += 2
			case c == '\r' && i+2 < len(p) && p[i+1] == '\n' && !held(p[i+2]):
				i += 3
			case c == '\r' && i+1 < len(p) && p[i+1] != '\n' && !held(p[i+1]):
				i += 2
			default:
				return i
			}
		}
	}
}

// isPlain reports whether eight octets, with one behind them, have no white space but single
// blanks, and no CR. It looks at all of them at once: this is what nearly all octets
// of a body go through.
func isPlain(w uint64, behind byte) bool {
	const each = 0x0101010101010101
	const high = 0x80 * each
	blank := w ^ ' '*each
	blank = ^((blank&^high + 0x7f*each) | blank | 0x7f*each) // the high bit of each octet that is a blank
	tab, cr := w^'\t'*each, w^'\r'*each
	other := ((tab - each) &^ tab & high) | ((cr - each) &^ cr & high)
	return other == 0 && blank&(blank<<8) == 0 && (blank>>63 == 0 || !held(behind))
}

// unchangedSimple looks from the end: only the line ends there are in doubt.
func unchangedSimple(p []byte) int {
	n := len(p)
	if n > 0 && p[n-1] == '\r' {
		n--
	}
	for n >= 2 && p[n-1] == '\n' && p[n-2] == '\r' {
		n -= 2
	}
	return n
}

// held reports whether what follows c decides about it.
func held(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// hold takes the white space and the line ends at the beginning of p, up to the text behind
// them, and returns how many octets these are.
func (b *body) hold(p []byte) int {
	for i, c := range p {
		if b.cr {
			b.cr = false
			if c == '\n' {
				b.space = false // at the end of a line it does not count
				b.crlfs++
				continue
			}
			b.release()
			b.passByte('\r')
		}
		switch {
		case c == '\r':
			b.cr = true
		case b.relaxed && (c == ' ' || c == '\t'):
			b.space = true
		default:
			b.release()
			return i
		}
	}
	return len(p)
}

// release passes on the line ends and the white space that turned out to be followed by text.
func (b *body) release() {
	for ; b.crlfs > 0; b.crlfs-- {
		b.passByte('\r')
		b.passByte('\n')
	}
	if b.space {
		b.space = false
		b.passByte(' ')
	}
}

// end makes the canonical body complete.
func (b *body) end() {
	if b.cr {
		b.release()
		b.passByte('\r')
	}
	// The simple form of an empty body is one line end, the relaxed form is empty
	// (RFC 6376 §3.4.3 and §3.4.4).
	if !b.relaxed || b.total > 0 {
		b.passByte('\r')
		b.passByte('\n')
	}
	b.crlfs, b.space, b.cr = 0, false, false
	b.flush()
}

func (b *body) passByte(c byte) {
	b.total++
	b.buf = append(b.buf, c)
	if len(b.buf) == bodyBuffer {
		b.flush()
	}
}

func (b *body) pass(p []byte) {
	b.total += int64(len(p))
	if len(b.buf)+len(p) < bodyBuffer {
		b.buf = append(b.buf, p...)
		return
	}
	b.flush()
	if len(p) < bodyBuffer/2 {
		b.buf = append(b.buf, p...)
		return
	}
	b.hash(p)
}

func (b *body) flush() {
	b.hash(b.buf)
	b.buf = b.buf[:0]
}

func (b *body) hash(p []byte) {
	for _, s := range b.sums {
		q := p
		if s.left >= 0 {
			q = p[:min(int64(len(p)), s.left)]
			s.left -= int64(len(q))
		}
		s.hash.Write(q)
	}
}

// is reports whether the hash is the one that was claimed.
func (s *bodySum) is(claimed []byte) bool {
	var room [sha256.Size]byte
	return bytes.Equal(s.hash.Sum(room[:0]), claimed)
}
