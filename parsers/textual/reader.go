package textual

import (
	"bytes"
	"io"
)

// Reader reads lines and raw octets from a connection. It is not for
// concurrent use and must not be copied once used. The zero Reader is ready
// after Reset.
type Reader struct {
	// Tolerant: a line ends at LF even without CR before it. Otherwise only
	// CRLF ends a line (RFC 5321 §2.3.8).
	Tolerant bool

	src   io.Reader
	buf   []byte          // small[:] or bulk[:]
	bulk  *[bulkSize]byte // borrowed, nil most of the time
	r, w  int             // buf[r:w] is read and not yet consumed
	err   error           // came with the last octets, not yet reported
	full  bool            // the last read left no room: more is waiting
	skip  error           // a line is being discarded; why
	gone  int             // octets of it that are gone
	head  [4]byte         // what a line too long began with
	small [smallSize]byte
}

// NewReader returns a strict Reader of src.
func NewReader(src io.Reader) *Reader {
	r := new(Reader)
	r.Reset(src)
	return r
}

// Reset makes r read from src and forgets all else that was read, except that
// Tolerant stays as it is. Borrowed buffers are given back.
func (r *Reader) Reset(src io.Reader) {
	r.release()
	r.src, r.err, r.skip, r.gone = src, nil, nil, 0
}

// Buffered is the number of octets that have arrived and were not consumed.
func (r *Reader) Buffered() int { return r.w - r.r }

// Peek returns the octets that Buffered counts, without consuming them and
// without waiting for more. They are valid until the next call of any method.
func (r *Reader) Peek() []byte { return r.buf[r.r:r.w] }

// ReadLine returns the next line without its ending, valid until the next
// call of any method. max is the longest line accepted, in octets without the
// ending; anything above MaxLine means MaxLine.
//
// ErrLineTooLong, ErrBareCR and ErrBareLF are returned once the whole line has
// been read and discarded; ErrEndlessLine when a MiB of it was discarded and its
// end is not in sight. io.EOF means that the source ended between two
// lines, io.ErrUnexpectedEOF that it ended within one. Other errors are the
// source's; after a timeout, ReadLine may be called again and loses nothing.
func (r *Reader) ReadLine(max int) ([]byte, error) {
	if max > MaxLine {
		max = MaxLine
	}
	scanned := 0 // no LF that matters in the first scanned octets
	for {
		b := r.buf[r.r:r.w]
		i := bytes.IndexByte(b[scanned:], '\n')
		if i < 0 {
			// One octet more than max may be the CR of the ending.
			if len(b) > max+1 || r.skip != nil {
				r.discardLine(len(b), ErrLineTooLong)
			}
			if r.gone > mostDiscarded {
				return nil, ErrEndlessLine
			}
			scanned = r.w - r.r
			if err := r.fill(false); err != nil {
				return nil, r.midLine(err)
			}
			continue
		}
		i += scanned
		if i > 0 && b[i-1] == '\r' || r.Tolerant {
			return r.takeLine(b, i, max)
		}
		r.discardLine(i+1, ErrBareLF)
		scanned = 0
	}
}

// takeLine consumes b[:i+1], whose last octet is the LF that ends the line.
func (r *Reader) takeLine(b []byte, i, max int) ([]byte, error) {
	r.r += i + 1
	line := b[:i]
	if i > 0 && b[i-1] == '\r' {
		line = b[:i-1]
	}
	err := r.skip
	r.skip, r.gone = nil, 0
	switch {
	case err != nil:
		return nil, err
	case len(line) > max:
		copy(r.head[:], line)
		return nil, ErrLineTooLong
	case bytes.IndexByte(line, '\r') >= 0:
		return nil, ErrBareCR
	}
	return line, nil
}

// discardLine drops n octets of a line that will be reported as why, but keeps
// a last CR, which may be half of the line's ending.
func (r *Reader) discardLine(n int, why error) {
	if r.skip == nil {
		r.skip, r.head = why, [4]byte{}
		copy(r.head[:], r.buf[r.r:r.r+n])
	}
	if n > 0 && r.buf[r.r+n-1] == '\r' {
		n--
	}
	r.r += n
	r.gone += n
}

// mostDiscarded is how many octets of a line are read in vain for the sake of
// answering in step: nobody who means well sends as many.
const mostDiscarded = 1 << 20

// midLine tells the end of the source within a line from its end between two.
func (r *Reader) midLine(err error) error {
	if err == io.EOF && (r.r < r.w || r.skip != nil) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read reads raw octets, as BDAT carries them (RFC 3030 §2). It returns what
// is buffered first, and reads large p directly from the source.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.r == r.w {
		if r.err == nil && len(p) >= smallSize {
			r.release()
			return r.src.Read(p)
		}
		if err := r.fill(false); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}

// Discard reads and drops n octets. It returns io.ErrUnexpectedEOF when the
// source ends before.
func (r *Reader) Discard(n int64) error {
	for n > 0 {
		if r.r == r.w {
			if err := r.fill(n > smallSize); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		step := min(int64(r.w-r.r), n)
		r.r += int(step)
		n -= step
	}
	return nil
}

// noProgress is how many empty reads in a row are one too many.
const noProgress = 100

// fill reads at least one more octet behind those buffered, making room first.
// bulk asks for the large buffer at once; otherwise it is borrowed only when
// the small one does not suffice.
func (r *Reader) fill(bulk bool) error {
	if r.err != nil {
		err := r.err
		r.err = nil
		return err
	}
	r.makeRoom(bulk)
	for range noProgress {
		n, err := r.src.Read(r.buf[r.w:])
		if n > 0 {
			r.w += n
			r.full = r.w == len(r.buf)
			r.err = err
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom chooses the buffer for the next read. An empty large buffer goes
// back to the pool before the Reader waits for a line: that wait may be long.
func (r *Reader) makeRoom(bulk bool) {
	bulk = bulk || r.full
	r.full = false
	switch {
	case r.r == r.w && !bulk:
		r.release()
	case r.bulk == nil && (bulk || r.w-r.r == smallSize):
		big := bulkPool.Get().(*[bulkSize]byte)
		r.w = copy(big[:], r.buf[r.r:r.w])
		r.r, r.buf, r.bulk = 0, big[:], big
	case r.r > 0:
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
}

// release drops what is buffered and goes back to the small buffer.
func (r *Reader) release() {
	if r.bulk != nil {
		bulkPool.Put(r.bulk)
		r.bulk = nil
	}
	r.buf, r.r, r.w, r.full = r.small[:], 0, 0, false
}
