package pop3

import (
	"bytes"
	"io"
)

// stuffer sends the text of a multi-line response (RFC 1939 §3): it doubles a
// dot that begins a line and changes nothing else, so that the client gets the
// octets of the Drop, as many as its Size says.
//
// A line begins behind every LF, whether or not it has its CR: most clients take
// a bare LF for the end of a line, and a message must not be able to end itself
// in their eyes and speak for the server. (textual.DotWriter turns bare CR and
// LF into CRLF instead, which makes the message longer than announced.)
type stuffer struct {
	o     *output
	fresh bool // at the beginning of a line
	cr    bool // the last octet is CR
	whole bool // the text ends with CRLF, or is empty
}

func (o *output) text() stuffer { return stuffer{o: o, fresh: true, whole: true} }

// minRoom is how much of the buffer must be free to read into it.
const minRoom = 4 << 10

// noProgress is how many empty reads in a row are one too many.
const noProgress = 100

// readFrom sends all of src. It reads into the output's buffer, behind what
// waits there, so that a text without dots is copied nowhere.
func (s *stuffer) readFrom(src io.Reader) (total int64, err error) {
	for empty := 0; empty < noProgress; empty++ {
		if s.o.n > pieceSize-minRoom {
			s.o.push()
		}
		room := s.o.room()
		n, err := src.Read(room)
		if n > 0 {
			empty = 0
			total += int64(n)
			s.take(room[:n])
		}
		switch {
		case s.o.err != nil:
			return total, s.o.err
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
	return total, io.ErrNoProgress
}

var newLineDot = []byte("\n.")

// take sends p, which stands in the output's buffer where the next octets go.
func (s *stuffer) take(p []byte) {
	at := bytes.Index(p, newLineDot)
	if at < 0 && (p[0] != '.' || !s.fresh) {
		s.o.n += len(p)
		s.note(p)
		return
	}
	aside := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(aside)
	s.write(aside[:copy(aside[:], p)], at)
}

// write sends p, in which the first dot to double (but for one at its
// beginning) is behind the LF at index at, or nowhere if that is negative.
func (s *stuffer) write(p []byte, at int) {
	if s.fresh && p[0] == '.' {
		s.o.Write(p[:1])
	}
	from := 0
	for at >= 0 {
		s.o.Write(p[from : from+at+2])
		from += at + 1 // the dot again
		at = bytes.Index(p[from:], newLineDot)
	}
	s.o.Write(p[from:])
	s.note(p)
}

// note remembers how the text ends so far.
func (s *stuffer) note(p []byte) {
	last := p[len(p)-1]
	if len(p) > 1 {
		s.cr = p[len(p)-2] == '\r'
	}
	s.fresh = last == '\n'
	s.whole = s.fresh && s.cr
	s.cr = last == '\r'
}

// end says that the text is complete.
func (s *stuffer) end() error {
	ending := "\r\n.\r\n"
	if s.whole {
		ending = ending[2:]
	}
	s.o.done(append(s.o.short(len(ending)), ending...))
	return s.o.err
}
