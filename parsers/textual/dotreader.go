package textual

import (
	"bytes"
	"io"
)

// Mode says what a dot reader or writer does with a CR that is not followed by
// LF and an LF that does not follow a CR (RFC 5321 §2.3.8). No mode for what is
// to be passed on by SMTP lets one through.
type Mode int

// The modes.
const (
	// Reject: the text is read to its true end and then refused with
	// ErrBareCR or ErrBareLF.
	Reject Mode = iota
	// Normalise: each becomes CRLF. CR CR LF, the mark of software that
	// writes text files twice, becomes one CRLF.
	Normalise
	// Keep: the octets stay as they are. It is for the reader of POP3, where
	// a message is to arrive as the server has it. Behind an LF alone, the first
	// of two dots is removed: servers double a dot there for the sake of clients
	// that take any LF for the end of a line. Writers take Keep for Normalise.
	Keep
)

// DotReader reads a dot-stuffed text: the mail data of SMTP (RFC 5321 §4.5.2)
// or a multi-line response of POP3 (RFC 1939 §3). It removes the dot that
// begins a line, keeps every CRLF, and ends at CRLF "." CRLF and at nothing
// else; the text begins as if a CRLF came before it, so that "." CRLF alone is
// the empty text.
//
// Lines are what CRLF separates in the octets as they arrive. What Normalise
// makes of a bare CR or LF begins no line: a dot behind it is never removed
// and never ends the text.
//
// Any fault is reported only after the true end has been read, so that the
// line behind it is the next command whatever the text held.
type DotReader struct {
	// Limit is the largest text accepted, in octets as they are returned;
	// 0 means any. A bigger one is read to its end and reported as ErrTooBig.
	Limit int64

	r    *Reader
	mode Mode
	size int64
	out  []byte // decoded, not yet returned; in r's buffer or in manyCRLF
	fold int    // CRs at the start of a run whose meaning its end will tell
	owed int    // CRLFs still to return for a run of bare CRs
	mid  bool   // within a line, as opposed to at its first octet
	bare bool   // at the first octet behind an LF alone that is kept
	bad  error  // what to report at the true end
	err  error  // reported already: io.EOF or worse
}

// Dot returns a DotReader of what follows in r. Until it has reported io.EOF
// or an error, r must not be used.
func (r *Reader) Dot(mode Mode) *DotReader {
	d := new(DotReader)
	d.Reset(r, mode)
	return d
}

// Reset makes d read the text that follows in r. Limit stays as it is.
func (d *DotReader) Reset(r *Reader, mode Mode) {
	*d = DotReader{Limit: d.Limit, r: r, mode: mode}
}

// Size is the number of octets decoded so far.
func (d *DotReader) Size() int64 { return d.size }

// Done reports whether the true end of the text has been read, with or without a
// fault in the text: the conversation may go on.
func (d *DotReader) Done() bool { return d.err != nil && (d.err == io.EOF || d.err == d.bad) }

// Read returns decoded octets. The error is io.EOF at the end of the text;
// ErrBareCR, ErrBareLF or ErrTooBig at the end of one with that fault;
// io.ErrUnexpectedEOF when the source ended before it; otherwise the source's.
func (d *DotReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := d.decode(); err != nil {
		return 0, err
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// WriteTo writes all that is left of the text to w, in pieces as large as they
// arrive. It implements io.WriterTo.
func (d *DotReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := d.decode(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(d.out)
		total += int64(n)
		d.out = d.out[n:]
		if err != nil {
			return total, err
		}
	}
}

// Drain reads to the true end and drops what is left. It returns what Read
// would have reported there, but nil in place of io.EOF.
func (d *DotReader) Drain() error {
	for {
		d.out = nil
		if err := d.decode(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// decode makes d.out not empty, or returns why there is no more.
func (d *DotReader) decode() error {
	for len(d.out) == 0 {
		if d.err != nil {
			return d.err
		}
		switch {
		case d.bad != nil:
			d.drain()
		case d.owed > 0:
			n := min(d.owed, len(manyCRLF)/2)
			d.owed -= n
			d.out = manyCRLF[:2*n]
		case d.fold > 0:
			d.run()
		default:
			d.text()
		}
		d.size += int64(len(d.out))
		if d.Limit > 0 && d.size > d.Limit && d.bad == nil {
			d.out, d.bad = nil, ErrTooBig
			if d.err == io.EOF {
				d.err = ErrTooBig
			}
		}
	}
	return nil
}

// manyCRLF is what bare line endings become.
var manyCRLF = bytes.Repeat([]byte("\r\n"), 32)

// text decodes what is buffered, in place: behind a removed dot, what follows
// moves up. It stops before the first bare CR or LF.
func (d *DotReader) text() {
	r := d.r
	b := r.buf[r.r:r.w]
	from, i, o := 0, 0, 0 // b[:o] is decoded, b[from:i] is to be moved behind it
	stop := false
	for !stop {
		if !d.mid {
			// At the first octet of a line: an end, a dot to remove, or text.
			start := dotLine(b[i:])
			if d.bare {
				start = d.bareLine(b[i:])
			}
			switch start {
			case needMore:
				stop = true
				continue
			case endOfText:
				o += move(b, o, from, i)
				r.r += i + 3
				d.finish(b[:o])
				return
			case stuffed:
				o += move(b, o, from, i)
				i++
				from = i
			}
			d.mid = true
		}
		n, kind := line(b[i:])
		i += n
		switch {
		case kind == whole:
			d.mid = false
		case kind == part:
			stop = true
		case d.mode == Keep:
			d.mid, d.bare = kind == bareCR, kind == bareLF
			i++
		default:
			o += move(b, o, from, i)
			r.r += i
			d.out = b[:o]
			d.alone(kind)
			return
		}
	}
	o += move(b, o, from, i)
	r.r += i
	if d.out = b[:o]; o == 0 {
		d.more()
	}
}

// move copies b[from:i] to b[o:] unless it is there already, and returns how
// much that is.
func move(b []byte, o, from, i int) int {
	if o != from {
		copy(b[o:], b[from:i])
	}
	return i - from
}

// What stands at the beginning of a line.
const (
	needMore  = iota // it is undecided
	endOfText        // "." CRLF
	stuffed          // "." and something else
	plain
)

func dotLine(b []byte) int {
	switch {
	case len(b) == 0:
		return needMore
	case b[0] != '.':
		return plain
	case len(b) == 1 || len(b) == 2 && b[1] == '\r':
		return needMore
	case b[1] == '\r' && b[2] == '\n':
		return endOfText
	}
	return stuffed
}

// bareLine is dotLine behind an LF that is kept, where nothing ends the text.
func (d *DotReader) bareLine(b []byte) int {
	if len(b) == 0 || len(b) == 1 && b[0] == '.' {
		return needMore
	}
	d.bare = false
	if b[0] == '.' && b[1] == '.' {
		return stuffed
	}
	return plain
}

// What line found.
const (
	part   = iota // no ending yet
	whole         // a line that ends with CRLF
	bareCR        // the text before a bare CR, or before the second of two CRs
	bareLF        // the text before a bare LF
)

// line measures the line or part of a line at the beginning of b. A last CR is
// left for the next time.
func line(b []byte) (n, kind int) {
	lf := bytes.IndexByte(b, '\n')
	text := b
	if lf >= 0 {
		text = b[:lf]
	}
	cr := bytes.IndexByte(text, '\r')
	switch {
	case cr >= 0 && cr == len(text)-1:
		if lf >= 0 {
			return lf + 1, whole
		}
		return cr, part
	case cr >= 0:
		return cr, bareCR
	case lf >= 0:
		return lf, bareLF
	}
	return len(b), part
}

// alone handles a bare CR or LF, which is the next octet of r.
func (d *DotReader) alone(kind int) {
	switch {
	case d.mode == Reject && kind == bareCR:
		d.bad = ErrBareCR
	case d.mode == Reject:
		d.bad = ErrBareLF
	case kind == bareCR:
		d.r.r++
		d.fold = 1
	default:
		d.r.r++
		d.owed = 1
	}
	if d.bad != nil {
		d.out = nil
	}
}

// run reads on in a run of CRs of which d.fold have been consumed. Followed by
// LF, all of it is one CRLF; otherwise each CR is.
func (d *DotReader) run() {
	r := d.r
	for ; r.r < r.w && r.buf[r.r] == '\r'; r.r++ {
		d.fold++
	}
	switch {
	case r.r == r.w:
		d.more()
	case r.buf[r.r] == '\n':
		r.r++
		d.fold, d.owed = 0, 1
		d.mid = false
	default:
		d.fold, d.owed = 0, d.fold
	}
}

// drain looks for the true end only.
func (d *DotReader) drain() {
	r := d.r
	for {
		b := r.buf[r.r:r.w]
		if !d.mid {
			start := dotLine(b)
			if d.bare {
				start = d.bareLine(b)
			}
			switch start {
			case needMore:
				d.more()
				return
			case endOfText:
				r.r += 3
				d.finish(nil)
				return
			}
			d.mid = true
		}
		lf := bytes.IndexByte(b, '\n')
		switch {
		case lf > 0 && b[lf-1] == '\r':
			r.r += lf + 1
			d.mid = false
		case lf >= 0:
			r.r += lf + 1
		default:
			if r.r = r.w; len(b) > 0 && b[len(b)-1] == '\r' {
				r.r--
			}
			d.more()
			return
		}
	}
}

// finish ends the text; last is what is still to be returned of it.
func (d *DotReader) finish(last []byte) {
	d.out, d.err = last, io.EOF
	if d.bad != nil {
		d.out, d.err = nil, d.bad
	}
}

// more reads more, in large pieces.
func (d *DotReader) more() {
	err := d.r.fill(true)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	d.err = err
}
