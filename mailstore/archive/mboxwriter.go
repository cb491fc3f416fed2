package archive

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// MboxWriter writes an mbox file. Lines end in LF. What an mbox cannot say is
// lost: unique ids, flags, the difference between CRLF and a bare LF, and
// whether the last line had an end (the counted flavours do say that).
type MboxWriter struct {
	w       *bufio.Writer
	flavour Flavour
}

// NewMboxWriter returns a writer; Flush ends the file.
func NewMboxWriter(w io.Writer, f Flavour) *MboxWriter {
	return &MboxWriter{w: bufio.NewWriterSize(w, maxLine), flavour: f}
}

// Flush writes out what is buffered.
func (w *MboxWriter) Flush() error { return w.w.Flush() }

// Add appends a message. It is opened once, or twice where its length must be
// written before it. It returns the octets read.
func (w *MboxWriter) Add(received time.Time, open func() (io.ReadCloser, error)) (int64, error) {
	length := int64(-1)
	if w.flavour.counted() {
		c := &mboxMessage{flavour: w.flavour, out: io.Discard}
		if err := c.read(open); err != nil {
			return 0, unreadable(err) // nothing has been written yet
		}
		length = c.body
	}
	if received.IsZero() {
		received = time.Unix(0, 0)
	}
	m := &mboxMessage{flavour: w.flavour, out: w.w, length: length, counted: length >= 0, received: received, top: true}
	if err := m.read(open); err != nil {
		return 0, err
	}
	end := "\n"
	if !m.atLine {
		end = "\n\n"
	}
	_, err := w.w.WriteString(end)
	return m.total, err
}

// mboxMessage writes, or only counts, one message.
type mboxMessage struct {
	flavour  Flavour
	out      io.Writer
	received time.Time
	top      bool // write the From_ line
	counted  bool // write Content-Length
	length   int64

	total  int64 // octets read, with LF
	body   int64 // octets of body written
	inBody bool
	atLine bool // the last octet was an LF
}

func (m *mboxMessage) read(open func() (io.ReadCloser, error)) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(&lfReader{r: f}, maxLine)
	if m.top {
		head, _ := r.Peek(8 << 10)
		if _, err := fmt.Fprintf(m.out, "From %s %s\n", returnPath(head), m.received.UTC().Format(time.ANSIC)); err != nil {
			return err
		}
	}
	m.atLine = true
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			if err := m.line(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			if !m.inBody {
				return m.endHeader()
			}
			return nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
	}
}

func (m *mboxMessage) line(line []byte) error {
	m.total += int64(len(line))
	first := m.atLine
	m.atLine = line[len(line)-1] == '\n'
	switch {
	case m.inBody:
		if first && m.quotes(line) {
			if err := m.write([]byte{'>'}); err != nil {
				return err
			}
		}
		return m.write(line)
	case first && isBlank(line):
		if err := m.lengthField(); err != nil {
			return err
		}
		m.inBody = true
	case first && m.quotes(line): // no header at all
		if _, err := m.out.Write([]byte{'>'}); err != nil {
			return err
		}
	}
	_, err := m.out.Write(line)
	return err
}

func (m *mboxMessage) endHeader() error {
	if !m.counted {
		return nil
	}
	if !m.atLine { // a header cut short; the field needs a line of its own
		if _, err := m.out.Write([]byte{'\n'}); err != nil {
			return err
		}
		m.atLine = true
	}
	return m.lengthField()
}

// lengthField writes Content-Length where a line begins.
func (m *mboxMessage) lengthField() error {
	if !m.counted {
		return nil
	}
	_, err := fmt.Fprintf(m.out, "Content-Length: %d\n", m.length)
	return err
}

func (m *mboxMessage) write(p []byte) error {
	m.body += int64(len(p))
	_, err := m.out.Write(p)
	return err
}

func (m *mboxMessage) quotes(line []byte) bool {
	switch m.flavour {
	case MboxO, MboxCL:
		return bytes.HasPrefix(line, fromWord)
	case MboxRD:
		return bytes.HasPrefix(bytes.TrimLeft(line, ">"), fromWord)
	}
	return false
}

// returnPath finds the envelope sender for the From_ line.
func returnPath(head []byte) string {
	for line := range strings.SplitSeq(string(head), "\n") {
		if line == "" || line == "\r" {
			break
		}
		name, v, ok := strings.Cut(line, ":")
		if !ok || !strings.EqualFold(name, "Return-Path") {
			continue
		}
		v = strings.Trim(strings.TrimSpace(v), "<>")
		if v != "" && !strings.ContainsAny(v, " \t\x00") {
			return v
		}
	}
	return "MAILER-DAEMON"
}

// ExportMbox appends every message of an open maildrop to w. One that cannot be
// opened, or read in the counted flavours, which read it twice, is passed over: the
// error is then ErrIncomplete. Another error leaves half a message in the file.
func ExportMbox(ctx context.Context, m mailstore.Maildrop, w *MboxWriter, progress func(Stats)) (Stats, error) {
	e := &exporter{progress: progress, end: w.Flush}
	e.add = func(i int, received time.Time, _ string) (int64, error) {
		return w.Add(received, func() (io.ReadCloser, error) {
			r, err := m.Open(ctx, i)
			if err != nil {
				return nil, unreadable(err)
			}
			return r, nil
		})
	}
	return e.run(ctx, m)
}
