package textual

import (
	"errors"
	"io"
)

// errClosed is what a DotWriter says to a Write behind Close.
var errClosed = errors.New("textual: write after the end of the text")

// DotWriter writes a dot-stuffed text: it doubles a dot that begins a line
// (RFC 5321 §4.5.2), and Close ends the text. A text whose lines all end with
// CRLF arrives octet for octet; no bare CR or LF is ever written, so that
// nothing in the text can be taken for its end by anybody.
//
// What it writes goes out in large pieces. Text that needs no change is handed
// to the underlying writer without being copied when it comes in such pieces.
type DotWriter struct {
	w    io.Writer
	mode Mode
	bare bool            // no dots and no end: the engine of a LineWriter
	buf  *[bulkSize]byte // borrowed from the first Write to Close
	n    int             // buf[:n] is to be written
	fold int             // CRs held back until what follows them is known
	mid  bool            // the text so far does not end with CRLF
	err  error
}

// NewDotWriter returns a DotWriter to w that turns bare CR and LF into CRLF
// (Normalise).
func NewDotWriter(w io.Writer) *DotWriter {
	d := new(DotWriter)
	d.Reset(w, Normalise)
	return d
}

// Reset begins a new text. With Reject, Write fails with ErrBareCR or
// ErrBareLF and the text cannot be ended any more: the connection must be
// closed.
func (d *DotWriter) Reset(w io.Writer, mode Mode) {
	d.release()
	*d = DotWriter{w: w, mode: mode}
}

// Write adds p to the text.
func (d *DotWriter) Write(p []byte) (int, error) {
	from, i := 0, 0 // p[from:i] is to be written as it is
	for i < len(p) && d.err == nil {
		if d.fold > 0 {
			i = d.run(p, i)
			from = i
			continue
		}
		if !d.mid && p[i] == '.' && !d.bare {
			d.emit(p[from:i])
			d.emit(dot)
			from = i
		}
		n, kind := line(p[i:])
		i += n
		d.mid = kind != whole
		switch {
		case kind == whole:
		case kind == bareLF:
			d.emit(p[from:i])
			d.fault(ErrBareLF)
			d.emit(manyCRLF[:2])
			i++
			from, d.mid = i, false
		case i < len(p): // a bare CR, or a CR that ends p
			d.emit(p[from:i])
			d.fold = 1
			i++
			from = i
		}
	}
	d.emit(p[from:i])
	if d.err != nil {
		return 0, d.err
	}
	return len(p), nil
}

var dot = []byte{'.'}

// run reads on in a run of CRs, of which d.fold are behind us, and writes what
// they stand for once that is known: one CRLF if LF follows the last of them,
// otherwise one for each.
func (d *DotWriter) run(p []byte, i int) int {
	for ; i < len(p) && p[i] == '\r'; i++ {
		d.fold++
	}
	if i == len(p) {
		return i
	}
	if p[i] == '\n' {
		if d.fold > 1 {
			d.fault(ErrBareCR)
		}
		d.fold = 1
		i++
	} else {
		d.fault(ErrBareCR)
	}
	d.unfold()
	return i
}

// unfold writes one CRLF for each CR held back.
func (d *DotWriter) unfold() {
	for d.fold > 0 && d.err == nil {
		n := min(d.fold, len(manyCRLF)/2)
		d.emit(manyCRLF[:2*n])
		d.fold -= n
	}
	d.mid = false
}

func (d *DotWriter) fault(err error) {
	if d.mode == Reject && d.err == nil {
		d.err = err
	}
}

// ReadFrom adds all of src to the text. It implements io.ReaderFrom.
func (d *DotWriter) ReadFrom(src io.Reader) (int64, error) {
	in := bulkPool.Get().(*[bulkSize]byte)
	defer bulkPool.Put(in)
	var total int64
	for empty := 0; empty < noProgress; empty++ {
		n, err := src.Read(in[:])
		if n > 0 {
			empty = 0
			total += int64(n)
			if _, werr := d.Write(in[:n]); werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
	return total, io.ErrNoProgress
}

// Close ends the text: with CRLF if its last line has none, and then with the
// line of a single dot. It does not close or flush the underlying writer. A
// text that was broken off must not be closed, or what there is of it would
// pass for the whole.
func (d *DotWriter) Close() error {
	if d.fold > 0 {
		d.fault(ErrBareCR)
		d.unfold()
	}
	if !d.bare {
		if d.mid {
			d.emit(manyCRLF[:2])
		}
		d.emit(ending)
	}
	d.flush()
	d.release()
	err := d.err
	if err == nil {
		d.err = errClosed
	}
	return err
}

var ending = []byte(".\r\n")

// emit writes p, through the buffer unless p is large.
func (d *DotWriter) emit(p []byte) {
	if d.err != nil || len(p) == 0 {
		return
	}
	if d.n+len(p) > bulkSize {
		d.flush()
		if len(p) >= bulkSize/2 {
			d.put(p)
			return
		}
	}
	if d.n == 0 && len(p) >= bulkSize/2 {
		d.put(p)
		return
	}
	if d.buf == nil {
		d.buf = bulkPool.Get().(*[bulkSize]byte)
	}
	d.n += copy(d.buf[d.n:], p)
}

func (d *DotWriter) flush() {
	if d.n > 0 {
		d.put(d.buf[:d.n])
		d.n = 0
	}
}

func (d *DotWriter) put(p []byte) {
	if d.err != nil {
		return
	}
	if n, err := d.w.Write(p); err != nil {
		d.err = err
	} else if n < len(p) {
		d.err = io.ErrShortWrite
	}
}

func (d *DotWriter) release() {
	if d.buf != nil {
		bulkPool.Put(d.buf)
		d.buf, d.n = nil, 0
	}
}
