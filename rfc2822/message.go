package rfc2822

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
)

// Message is a message that was read: its header section, and where its body is.
type Message struct {
	// Header holds the fields. Changing it changes what WriteTo writes above
	// the body, and nothing else.
	Header Section
	// Defects lists what was found wrong while reading the header section.
	Defects []Defect

	body   body
	closer io.Closer
}

// body is a section of something that can be read at offsets, or a stream.
type body struct {
	at     io.ReaderAt
	off, n int64
	stream io.Reader
	read   bool
}

// Read reads a message's header section from r, at most 1 MiB of it. It never
// fails for what stands in the message: see Defects. The message is never nil;
// the error is one of r.
//
// If r can be read at offsets (a regular *os.File, *bytes.Reader,
// *strings.Reader, *io.SectionReader), the body is a section of it and can be read any
// number of times while r stays open. Of any other r the body is the rest of
// the stream and can be read once. Memory does not grow with the body.
func Read(r io.Reader) (*Message, error) { return ReadLimited(r, Limits{}) }

// ReadLimited is Read with a limit of its own for the header section.
func ReadLimited(r io.Reader, l Limits) (*Message, error) {
	at, size, off := section(r)
	head, err := readHead(r, l.withDefaults().HeaderBytes, at == nil)
	m := &Message{Header: head.section, Defects: head.defects}
	if at != nil {
		m.body = body{at: at, off: off + int64(head.used), n: size - off - int64(head.used)}
	} else {
		m.body.stream = prefixed(head.text[head.used:], r, err)
	}
	return m, err
}

// ReadString reads a message from a string.
func ReadString(s string) (*Message, error) { return Read(strings.NewReader(s)) }

// ReadFile reads a message from a file, which stays open until Close.
func ReadFile(name string) (*Message, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	m, err := Read(f)
	if err != nil {
		_ = f.Close() // the error of reading says more
		return nil, err
	}
	m.closer = f
	return m, nil
}

// Close closes the file ReadFile opened. For other messages it does nothing.
func (m *Message) Close() error {
	if m.closer == nil {
		return nil
	}
	err := m.closer.Close()
	m.closer = nil
	return err
}

// section finds out whether r can be read at offsets, its size, and where it stands.
func section(r io.Reader) (at io.ReaderAt, size, off int64) {
	s, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	})
	if !ok {
		return nil, 0, 0
	}
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return nil, 0, 0
		}
	}
	off, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, 0, 0
	}
	size, err = s.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, 0
	}
	if _, err = s.Seek(off, io.SeekStart); err != nil {
		return nil, 0, 0
	}
	return s, size, off
}

// head is what reading a header section gives.
type head struct {
	section Section
	defects []Defect
	used    int    // length of the section, the empty line included
	text    string // what was read: the section, and what was read beyond it if that was asked for
}

// headBuffer is what reading a header section needs for a while; what is kept of
// a message is a copy of the right size.
type headBuffer struct {
	text  [16 << 10]byte
	marks [128]mark
}

var headBuffers = sync.Pool{New: func() any { return new(headBuffer) }}

// readHead reads r up to the end of the header section, or max octets of it.
func readHead(r io.Reader, max int, keepRest bool) (head, error) {
	pooled := headBuffers.Get().(*headBuffer)
	defer headBuffers.Put(pooled)
	scan := headerScan{fields: pooled.marks[:0]}
	buf := pooled.text[:0:min(len(pooled.text), max+1)]
	for {
		n, err := readSome(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if found := scan.more(buf, err != nil); found || len(buf) > max {
			return takeHead(&scan, buf, max, found, keepRest), ignoreEOF(err)
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(2*cap(buf), max+1)), buf...)
		}
	}
}

func takeHead(scan *headerScan, buf []byte, max int, found, keepRest bool) head {
	cut := !found || scan.end > max
	if cut {
		scan.cut(max)
	}
	used, read := scan.end+scan.sep, len(buf)
	if !keepRest {
		buf = buf[:used]
	}
	text := string(buf)
	s := newSection(text[:used], scan.end, scan.fields)
	s.cut = cut
	s.bare = used == 0 && read > 0
	return head{section: s, defects: s.defects(read > used, scan.clean(buf[:used])), used: used, text: text}
}

// readSome reads at least one octet or returns an error.
func readSome(r io.Reader, p []byte) (int, error) {
	for range 100 {
		if n, err := r.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// prefixed gives rest and then r, or the error r had already given.
func prefixed(rest string, r io.Reader, err error) io.Reader {
	if err != nil {
		r = failing{err}
	}
	if len(rest) == 0 {
		return r
	}
	return io.MultiReader(strings.NewReader(rest), r)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Body returns a reader of the body's octets as they stand. If the body is a
// section, every call begins anew; if it is a stream, the calls continue
// where the last reader stopped.
func (m *Message) Body() io.Reader {
	if m.body.at != nil {
		return io.NewSectionReader(m.body.at, m.body.off, m.body.n)
	}
	if m.body.stream == nil {
		return strings.NewReader("")
	}
	m.body.read = true
	return m.body.stream
}

// Rereadable reports whether Body begins anew with every call.
func (m *Message) Rereadable() bool { return m.body.at != nil || m.body.stream == nil }

// WriteTo writes the header section as it now is, and the body. Of a message
// nothing was changed in, that is exactly the input. It is ErrBodyRead if the body
// was a stream and something was read from it.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	if m.body.read {
		return 0, ErrBodyRead
	}
	n, err := m.Header.WriteTo(w)
	if err != nil {
		return n, err
	}
	k, err := io.Copy(w, m.Body())
	return n + k, err
}

// Reader returns the whole message, as WriteTo writes it, as a stream.
func (m *Message) Reader() (io.Reader, error) {
	if m.body.read {
		return nil, ErrBodyRead
	}
	return io.MultiReader(strings.NewReader(m.Header.String()), m.Body()), nil
}

// Top writes the header section, the empty line, and the first lines of the
// body, as POP3's TOP shows a message (RFC 1939 §7). Line ends are not touched.
func (m *Message) Top(w io.Writer, lines int) error {
	if m.body.read {
		return ErrBodyRead
	}
	out := bufio.NewWriter(w)
	if _, err := m.Header.WriteTo(out); err != nil {
		return err
	}
	in := bufio.NewReader(m.Body())
	for lines > 0 {
		part, err := in.ReadSlice('\n')
		if _, werr := out.Write(part); werr != nil {
			return werr
		}
		switch {
		case err == nil:
			lines--
		case errors.Is(err, bufio.ErrBufferFull): // the line goes on
		case errors.Is(err, io.EOF):
			return out.Flush()
		default:
			return err
		}
	}
	return out.Flush()
}
