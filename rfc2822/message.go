package rfc2822

import (
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
	// Defects lists what was found wrong: with the header section by Read, and with
	// the parts by what Walk, Content, WritePart and the parsers of reports have read of
	// them so far. Nothing is taken out of it, and each thing stands there once.
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
	roomy := new(roomyMessage)
	head, err := readHead(r, l.withDefaults().HeaderBytes, at == nil, roomy.marks[:])
	m := &roomy.Message
	m.Header, m.Defects = head.section, head.defects
	if at != nil {
		m.body = body{at: at, off: off + int64(head.used), n: size - off - int64(head.used)}
	} else {
		m.body.stream = prefixed(head.text[head.used:], r, err)
	}
	return m, err
}

// roomyMessage is a message with room for the marks of most headers: one
// allocation, not two.
type roomyMessage struct {
	Message
	marks [24]mark
}

// ReadString reads a message from a string. Nothing is copied.
func ReadString(s string) (*Message, error) {
	m := new(struct {
		roomyMessage
		source strings.Reader
	})
	m.source.Reset(s)
	h := stringHead(s, Limits{}.withDefaults().HeaderBytes, m.marks[:])
	m.Header, m.Defects = h.section, h.defects
	m.body = body{at: &m.source, off: int64(h.used), n: int64(len(s) - h.used)}
	return &m.Message, nil
}

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
	text  []byte
	marks []mark
}

// maxHeadBuffer is how large a buffer may have become and be kept for the next header.
const maxHeadBuffer = 256 << 10

var headBuffers = sync.Pool{New: func() any {
	return &headBuffer{make([]byte, 0, 16<<10), make([]mark, 0, 128)}
}}

func (h *headBuffer) free() {
	if cap(h.text) <= maxHeadBuffer && cap(h.marks) <= maxHeadBuffer/8 {
		headBuffers.Put(h)
	}
}

// readHead reads r up to the end of the header section, or max octets of it.
// The section's marks go into room if they fit.
func readHead(r io.Reader, max int, keepRest bool, room []mark) (head, error) {
	pooled := headBuffers.Get().(*headBuffer)
	defer pooled.free()
	scan := headerScan{fields: pooled.marks[:0]}
	buf := pooled.text[:0:min(cap(pooled.text), max+1)]
	for {
		n, err := readSome(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if found := scan.more(buf, err != nil); found || len(buf) > max {
			pooled.marks = scan.fields
			used := scan.take(found, max)
			text := ""
			if keepRest {
				text = string(buf)
			} else {
				text = string(buf[:used])
			}
			return takeHead(&scan, buf, text, room), ignoreEOF(err)
		}
		if len(buf) == cap(buf) {
			pooled.text = make([]byte, 0, 2*cap(buf))
			buf = append(pooled.text[:0:min(cap(pooled.text), max+1)], buf...)
		}
	}
}

// stringHead is readHead for text that is there already. It looks at a copy, a
// piece of it at first: most of the text is body.
func stringHead(text string, max int, room []mark) head {
	pooled := headBuffers.Get().(*headBuffer)
	defer pooled.free()
	scan := headerScan{fields: pooled.marks[:0]}
	buf, piece := pooled.text[:0], 4<<10
	for {
		buf = append(buf, text[len(buf):min(len(text), piece, max+1)]...)
		if found := scan.more(buf, len(buf) == len(text)); found || len(buf) > max {
			pooled.text, pooled.marks = buf, scan.fields
			scan.take(found, max)
			return takeHead(&scan, buf, text, room)
		}
		piece *= 4
	}
}

// takeHead makes a head of what scan found in buf. text begins with the same
// octets, and its own are kept.
func takeHead(scan *headerScan, buf []byte, text string, room []mark) head {
	used := scan.end + scan.sep
	s := newSection(text[:used], scan.end, scan.fields, room)
	s.cut = scan.cutOff
	s.bare = used == 0 && len(buf) > 0
	return head{section: s, defects: s.defects(len(buf) > used, scan.clean(buf[:used])), used: used, text: text}
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
