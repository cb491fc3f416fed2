package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Flavour is a kind of mbox file. They differ in how a line of a message that
// looks like the beginning of the next is told from one.
type Flavour uint8

const (
	// MboxO puts ">" before lines beginning "From ". It cannot be undone with
	// certainty: a line that began ">From " before comes back without.
	MboxO Flavour = iota + 1
	// MboxRD puts ">" before lines beginning with any number of ">" and "From ",
	// and loses nothing. The best choice for new files.
	MboxRD
	// MboxCL is MboxO with a Content-Length field, by which readers go.
	MboxCL
	// MboxCL2 has a Content-Length field and quotes nothing.
	MboxCL2
)

// ParseFlavour knows mboxo, mboxrd, mboxcl and mboxcl2.
func ParseFlavour(s string) (Flavour, error) {
	for i, name := range []string{"mboxo", "mboxrd", "mboxcl", "mboxcl2"} {
		if strings.EqualFold(s, name) {
			return Flavour(i + 1), nil
		}
	}
	return 0, fmt.Errorf("archive: %q is no kind of mbox; there are mboxo, mboxrd, mboxcl and mboxcl2", s)
}

func (f Flavour) counted() bool { return f == MboxCL || f == MboxCL2 }

// maxLine bounds the pieces a line is looked at in; longer lines are streamed.
const maxLine = 64 << 10

// mbox reads an mbox file line by line.
type mbox struct {
	r       *bufio.Reader
	c       io.Closer
	at      io.ReaderAt // the same file, nil if it is a stream
	read    int64       // octets taken from the file into r
	flavour Flavour
	uidl    UIDL
	n       int    // messages so far
	lines   int    // lines so far
	from    []byte // the From_ line of the message to come, nil if not yet seen
	epoch   uint64 // UIDVALIDITY, 0 if the file holds none
	body    *mboxBody
	doubts  []*MessageError // not yet told
}

// FromMbox reads an mbox file. A message begins at a line "From sender date", whatever
// is before it; a line "From" without a date is text. Where such a line may well have
// been the beginning of a message, Next returns a *MessageError that is ErrDoubtful,
// behind the message that has the line.
//
// Unique ids come from X-UIDL, or X-UID and X-IMAPbase in the way of uidl, and
// flags from Status, X-Status and X-Mozilla-Status, all of which stay in the message.
//
// Close closes r if it is an io.Closer. If r is an io.ReaderAt and stands at the
// beginning, a Content-Length of any size is believed only if a message can end
// where it leads.
func FromMbox(r io.Reader, f Flavour, uidl UIDL) Source {
	m := &mbox{flavour: f, uidl: uidl}
	m.c, _ = r.(io.Closer)
	m.at, _ = r.(io.ReaderAt)
	m.r = bufio.NewReaderSize(mboxInput{m, r}, maxLine)
	return m
}

// mboxInput counts what is taken from the file.
type mboxInput struct {
	m *mbox
	r io.Reader
}

func (in mboxInput) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.m.read += int64(n)
	return n, err
}

func (m *mbox) Close() error {
	if m.c == nil {
		return nil
	}
	return m.c.Close()
}

// Errors of the reader of mbox files.
var (
	// ErrNotMbox: the file does not begin with a From_ line.
	ErrNotMbox = errors.New("archive: not an mbox file")
	// ErrCRLines: lines end in CR alone, so that no message can be told from another.
	ErrCRLines = errors.New("archive: lines end in CR alone; turn them into LF first (tr '\\r' '\\n')")
	// ErrDoubtful: nobody can tell whether a line begins a message. It was taken for text.
	ErrDoubtful = errors.New("a line that looks like the beginning of a message has no date; it stays text of the one before")
)

// readLine returns the next line, or a piece of one that is longer than maxLine;
// nothing at the end of the file. What it returns is good until the next call. more
// tells that the line goes on.
func (m *mbox) readLine() (line []byte, more bool, err error) {
	line, err = m.r.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull && err != io.EOF {
		return nil, false, err
	}
	if more = err == bufio.ErrBufferFull; !more {
		m.lines++
	}
	return line, more, nil
}

func (m *mbox) Next() (*Message, error) {
	if m.body != nil { // what the caller left
		if _, err := io.Copy(io.Discard, m.body); err != nil {
			return nil, err
		}
	}
	if m.n == 0 {
		if err := m.first(); err != nil {
			return nil, err
		}
	}
	if len(m.doubts) > 0 {
		doubt := m.doubts[0]
		m.doubts = m.doubts[1:]
		return nil, doubt
	}
	if m.from == nil {
		return nil, io.EOF
	}
	m.n++
	msg := &Message{Name: "message " + strconv.Itoa(m.n)}
	msg.Received, _ = FromLine(m.from)
	m.from = nil
	m.body = &mboxBody{m: m, header: true, count: -1, length: -1}
	msg.Body = m.body
	m.look(msg)
	return msg, nil
}

// first finds the first From_ line; blank lines before it are forgiven.
func (m *mbox) first() error {
	for {
		line, _, err := m.readLine()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
		if bytes.HasPrefix(line, fromWord) {
			if bytes.IndexByte(bytes.TrimRight(line, "\r\n"), '\r') >= 0 || line[len(line)-1] == '\r' {
				return ErrCRLines
			}
			m.from = bytes.Clone(line)
			return nil
		}
		if len(bytes.TrimRight(line, "\r\n")) > 0 {
			return ErrNotMbox
		}
	}
}

var fromWord = []byte("From ")

// mboxBody streams one message: up to the next From_ line, or as many octets as
// Content-Length says if that leads to such a place.
type mboxBody struct {
	m      *mbox
	header bool
	count  int64  // what the last Content-Length field says, -1 if nothing
	length int64  // octets of body left by it, -1 if not counted
	held   []byte // a Content-Length field that may turn out not to be the last field
	blank  []byte // a blank line that may be the one before the next From_ line
	out    []byte // ready to be read
	mid    bool   // in the middle of a line longer than maxLine
	done   bool
}

func (b *mboxBody) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		if b.done {
			return 0, io.EOF
		}
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// fill makes the next piece ready.
func (b *mboxBody) fill() error {
	if !b.header && b.length > 0 {
		return b.fillCounted()
	}
	line, more, err := b.m.readLine()
	if err != nil {
		return err
	}
	if len(line) == 0 { // the end of the file: the last blank line was a separator
		b.end()
		return nil
	}
	whole := !b.mid
	b.mid = more
	if whole && bytes.HasPrefix(line, fromWord) {
		line = bytes.Clone(line) // separates looks ahead
		if b.separates(line) {
			b.m.from = line
			b.end()
			return nil
		}
	}
	out := b.blank
	b.blank = nil
	if !whole {
		b.out = append(out, line...)
		return nil
	}
	if b.header {
		b.out = b.headerLine(out, line)
		return nil
	}
	if isBlank(line) {
		b.out, b.blank = out, bytes.Clone(line)
		return nil
	}
	b.out = append(out, b.unquote(line)...)
	return nil
}

// end ends the message; a blank line before was a separator. In a header that was
// cut short the last field is one of the message.
func (b *mboxBody) end() {
	b.out = b.flushHeld(nil)
	b.done, b.blank = true, nil
}

// separates reports whether a line that begins with "From " begins the next message:
// whether it has a date. In a header MboxCL2 quotes nothing, and ends none but by
// a blank line. A line without a date is noted if it stands where a message might
// begin.
func (b *mboxBody) separates(line []byte) bool {
	if b.header && b.m.flavour == MboxCL2 {
		return false
	}
	if _, ok := FromLine(line); ok {
		return true
	}
	if b.blank != nil && b.m.fieldFollows() {
		name := fmt.Sprintf("message %d, line %d", b.m.n, b.m.lines)
		b.m.doubts = append(b.m.doubts, &MessageError{name, fmt.Errorf("%w: %.60q", ErrDoubtful, bytes.TrimRight(line, "\r\n"))})
	}
	return false
}

// fieldFollows reports whether the next line looks like a field of a header.
func (m *mbox) fieldFollows() bool {
	p, _ := m.r.Peek(256)
	i := bytes.IndexFunc(p, func(r rune) bool { return r <= ' ' || r == ':' || r >= 0x7f })
	return i > 0 && p[i] == ':'
}

// headerLine goes by the last Content-Length field. If it is also the last of all
// fields, where MboxWriter puts it, it is the archive's own and no part of the
// message; other programs write more fields behind it, and there it stays.
func (b *mboxBody) headerLine(out, line []byte) []byte {
	if isBlank(line) {
		b.header = false
		line = bytes.Clone(line) // endsAt reads on
		if b.count >= 0 && b.endsAt(b.count) {
			b.length, b.held = b.count, nil
		}
		out = b.flushHeld(out)
		if b.length == 0 {
			b.length = -1 // an empty body; the separator comes next
		}
		// The blank line that ends the header may also be the last of all.
		if b.length < 0 {
			b.blank = line
			return out
		}
		return append(out, line...)
	}
	out = append(out, b.flushHeld(nil)...)
	if b.m.flavour.counted() && len(line) > 15 && bytes.EqualFold(line[:15], []byte("content-length:")) {
		b.held, b.count = bytes.Clone(line), lengthIn(line)
		return out
	}
	return append(out, b.unquote(line)...)
}

// lengthIn is the number in a Content-Length field, -1 if there is none.
func lengthIn(field []byte) int64 {
	_, v, _ := bytes.Cut(field, []byte{':'})
	n, err := strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func (b *mboxBody) flushHeld(out []byte) []byte {
	out = append(out, b.held...)
	b.held = nil
	return out
}

// endsAt reports whether after n octets a message can end. In a stream it can look
// no further than the buffer; beyond that the field is believed.
func (b *mboxBody) endsAt(n int64) bool {
	if n+8 <= maxLine {
		p, err := b.m.r.Peek(int(n) + 7)
		return int64(len(p)) >= n && canEnd(p[n:], err != nil, n == 0)
	}
	if b.m.at == nil {
		return true
	}
	if n > math.MaxInt64-b.m.read {
		return false
	}
	// With the octet before: the end of the file may be exactly there.
	p := make([]byte, 8)
	k, err := b.m.at.ReadAt(p, b.m.read-int64(b.m.r.Buffered())+n-1)
	return k > 0 && canEnd(p[1:k], err != nil, false)
}

// canEnd reports whether rest, which goes to the end of the file if last, may
// follow a message. An empty body needs no blank line: the one that ended the
// header may be the one that ends the message too.
func canEnd(rest []byte, last, empty bool) bool {
	from := bytes.TrimLeft(rest, "\r\n")
	if last && len(from) == 0 {
		return true
	}
	return (empty || len(from) < len(rest)) && bytes.HasPrefix(fromWord, from[:min(len(from), len(fromWord))])
}

// fillCounted passes on what Content-Length counts, without looking for From_.
func (b *mboxBody) fillCounted() error {
	line, more, err := b.m.readLine()
	if err != nil {
		return err
	}
	if len(line) == 0 {
		b.done = true
		return nil
	}
	if int64(len(line)) > b.length {
		// The count ends within a line: the message had no line end there.
		b.out = append(b.out[:0], line[:b.length]...)
		rest := line[b.length:]
		b.length = 0
		if !isBlank(rest) {
			b.out = append(b.out, rest...)
		}
	} else {
		b.length -= int64(len(line))
		whole := !b.mid
		if b.mid = more; whole {
			line = b.unquote(line)
		}
		b.out = append(b.out[:0], line...)
	}
	if b.length == 0 {
		b.length = -1
		b.blank = []byte{} // what comes now may be a From_ line
	}
	return nil
}

func (b *mboxBody) unquote(line []byte) []byte {
	switch b.m.flavour {
	case MboxO, MboxCL:
		if bytes.HasPrefix(line, []byte(">From ")) {
			return line[1:]
		}
	case MboxRD:
		if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, fromWord) {
			return line[1:]
		}
	}
	return line
}

func isBlank(line []byte) bool { return len(bytes.TrimRight(line, "\r\n")) == 0 }
