package textual

import "io"

// LineWriter writes a text whose lines all end with CRLF, for where no dot
// ends it, as under BDAT (RFC 3030 §2): what DotWriter does to bare CR and LF
// without what it does to dots. A text that is in order arrives octet for
// octet.
type LineWriter struct{ d DotWriter }

// NewLineWriter returns a LineWriter to w that turns bare CR and LF into CRLF
// (Normalise).
func NewLineWriter(w io.Writer) *LineWriter {
	l := new(LineWriter)
	l.Reset(w, Normalise)
	return l
}

// Reset begins a new text, as DotWriter.Reset does.
func (l *LineWriter) Reset(w io.Writer, mode Mode) {
	l.d.Reset(w, mode)
	l.d.bare = true
}

// Write adds p to the text.
func (l *LineWriter) Write(p []byte) (int, error) { return l.d.Write(p) }

// ReadFrom adds all of src to the text. It implements io.ReaderFrom.
func (l *LineWriter) ReadFrom(src io.Reader) (int64, error) { return l.d.ReadFrom(src) }

// Close writes out what is held back. It adds no CRLF to a last line that has
// none, and does not close the underlying writer.
func (l *LineWriter) Close() error { return l.d.Close() }
