package rfc2822

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"io"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"
)

// multiReport is what delivery status and disposition have in common
// (multipart/report, RFC 6522).
type multiReport struct {
	from, to, subject, messageID string
	host                         string // for the message id
	date                         time.Time
	kind                         string // the report-type: "delivery-status"
	text, status                 string
	original                     io.Reader
	ret                          Return
	sevenBit, utf8               bool
}

// WriteTo writes the report as a message, header section first, all lines
// with CRLF except where the original has others. It returns an error of w
// or of Original.
//
// It may be called again: the Date and the Message-ID stay, and an Original that is an
// io.Seeker is read again from where it stood. Of another that was read it is ErrBodyRead.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	dateAndID(&r.Date, &r.MessageID, r.ReportingMTA)
	original, err := r.source.again(r.Original)
	if err != nil {
		return 0, err
	}
	m := multiReport{
		from: r.From, to: r.To, subject: r.subject(), messageID: r.MessageID,
		host: r.ReportingMTA, date: r.Date, kind: "delivery-status",
		text: r.text(), status: r.status(),
		original: original, ret: r.Return, sevenBit: r.SevenBit, utf8: r.UTF8,
	}
	return m.writeTo(w)
}

// WriteTo writes the notification as a message, like Report.WriteTo.
func (d *Disposition) WriteTo(w io.Writer) (int64, error) {
	host, _, _ := strings.Cut(d.ReportingUA, ";")
	host = strings.TrimSpace(host)
	dateAndID(&d.Date, &d.MessageID, host)
	original, err := d.source.again(d.Original)
	if err != nil {
		return 0, err
	}
	m := multiReport{
		from: d.From, to: d.To, subject: d.subject(), messageID: d.MessageID,
		host: host, date: d.Date, kind: "disposition-notification",
		text: d.text(), status: d.status(),
		original: original, ret: d.Return, sevenBit: d.SevenBit, utf8: d.UTF8,
	}
	return m.writeTo(w)
}

// dateAndID fills in what is not given, so that a report that is written again is the same message.
func dateAndID(date *time.Time, id *string, host string) {
	if date.IsZero() {
		*date = time.Now()
	}
	if *id == "" {
		*id = NewMessageID(host, *date)
	}
}

// returned is what the report's last part will be.
type returned struct {
	contentType, encoding string
	head                  string    // for headers
	cut                   bool      // there were more
	body                  io.Reader // for a full message: all of it
}

// returnedHeader is how many octets of an original's header section are
// returned: a report tells its reader which message it is about, and is no way
// to have a stranger's text sent by others.
const returnedHeader = 16 << 10

// cutHeader returns what of a header section is returned: whole lines.
func cutHeader(head string) (part string, cut bool) {
	if len(head) <= returnedHeader {
		return head, false
	}
	return head[:strings.LastIndexByte(head[:returnedHeader], '\n')+1], true
}

func (m *multiReport) writeTo(w io.Writer) (int64, error) {
	count := &countingWriter{w: w}
	out := bufio.NewWriter(count)
	ret, err := m.plan()
	if err != nil {
		return 0, err
	}
	boundary := newBoundary()
	m.writeHeader(out, boundary, ret)
	if ret != nil && ret.cut {
		m.text = strings.TrimRight(m.text, "\r\n") + "\n\nThe header of the message is long; only its beginning is enclosed.\n"
	}
	m.writeText(out, boundary)
	m.writeStatus(out, boundary)
	if err := m.writeReturned(out, boundary, ret); err != nil {
		_ = out.Flush() // the caller has the error of the original
		return count.n, err
	}
	out.WriteString("\r\n--" + boundary + "--\r\n")
	err = out.Flush()
	return count.n, err
}

// plan decides what is returned of the original and how.
func (m *multiReport) plan() (*returned, error) {
	if m.original == nil || m.ret == ReturnNothing {
		return nil, nil
	}
	look, err := lookThrough(m.original)
	if err != nil {
		return nil, err
	}
	section, whole, err := Peek(m.original, 0)
	if err != nil {
		return nil, err
	}
	head := section.String()
	head = head[:len(head)-len(section.sep)]
	global := m.utf8 && !isASCII(head) && utf8.ValidString(head)
	if m.ret == ReturnFull && !(m.sevenBit && look.eight) && !look.binary {
		r := &returned{contentType: "message/rfc822", encoding: "7bit", body: whole}
		if global {
			r.contentType = "message/global"
		}
		if look.eight {
			r.encoding = "8bit"
		}
		return r, nil
	}
	r := &returned{contentType: "text/rfc822-headers", encoding: "7bit"}
	r.head, r.cut = cutHeader(head)
	switch {
	case global && !m.sevenBit:
		r.contentType, r.encoding = "message/global-headers", "8bit"
	case !isASCII(head) || longLine(head) || strings.ContainsRune(head, 0):
		r.encoding = "quoted-printable" // RFC 6522 §4 allows it for broken fields
	}
	return r, nil
}

// look is what an original is made of.
type look struct {
	eight  bool // has, or may have, octets above 127
	binary bool // has NUL, or lines beyond 998 octets: fit for no transport without BINARYMIME
}

// lookThrough reads an original that can be sought in, and goes back.
func lookThrough(r io.Reader) (look, error) {
	s, ok := r.(io.Seeker)
	if !ok {
		return look{eight: true}, nil
	}
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return look{eight: true}, nil // a pipe that calls itself a Seeker
	}
	var l look
	buf, line := make([]byte, 32<<10), 0
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			line++
			switch {
			case c == '\n':
				line = 0
			case c == 0 || line > hardLine+1:
				l.binary = true
			case c >= 0x80:
				l.eight = true
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return l, err
		}
	}
	_, err = s.Seek(start, io.SeekStart)
	return l, err
}

func longLine(s string) bool {
	for line := range strings.SplitSeq(s, "\n") {
		if len(line) > hardLine+1 {
			return true
		}
	}
	return false
}

func (m *multiReport) writeHeader(out *bufio.Writer, boundary string, ret *returned) {
	from := m.from
	if from == "" {
		from = "Mail Delivery System <postmaster@" + orUnknown(safeDomain(m.host)) + ">"
	}
	m.field(out, "From", from)
	m.addressField(out, "To", m.to)
	m.field(out, "Subject", EncodeWords(m.subject))
	m.field(out, "Date", FormatDate(m.date))
	m.field(out, "Message-ID", m.messageID)
	m.field(out, "Auto-Submitted", "auto-replied") // RFC 3834 §5
	m.field(out, "MIME-Version", "1.0")
	out.WriteString("Content-Type: multipart/report; report-type=" + m.kind + ";\r\n\tboundary=\"" + boundary + "\"\r\n")
	if m.utf8 && !isASCII(m.status) || ret != nil && ret.encoding == "8bit" {
		m.field(out, "Content-Transfer-Encoding", "8bit")
	}
	out.WriteString("\r\n")
}

// field writes one field of the report's own header; what would break out of
// it becomes a blank.
func (m *multiReport) field(out *bufio.Writer, name, value string) {
	value = strings.Join(strings.Fields(oneLine(value)), " ")
	f, err := NewField(name, value)
	if err != nil {
		f, _ = NewField(name, EncodeWords(value[:min(len(value), 600)]))
	}
	out.WriteString(f.Raw())
}

// addressField writes an address. One that is not ASCII cannot stand in a
// message without SMTPUTF8: it becomes the name of an empty group (RFC 6857 §3.1.8).
func (m *multiReport) addressField(out *bufio.Writer, name, value string) {
	if value = oneLine(value); !m.utf8 && !isASCII(value) {
		value = EncodeWords(value) + " :;"
	}
	m.field(out, name, value)
}

func (m *multiReport) writeText(out *bufio.Writer, boundary string) {
	text := strings.ReplaceAll(strings.ReplaceAll(m.text, "\r\n", "\n"), "\n", "\r\n")
	if !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	out.WriteString("This is a report in MIME format.\r\n\r\n--" + boundary + "\r\nContent-Description: Notification\r\n")
	if isASCII(text) && !longLine(text) && !strings.ContainsRune(text, 0) {
		out.WriteString("Content-Type: text/plain; charset=us-ascii\r\n\r\n" + text)
		return
	}
	out.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	writeQP(out, strings.ToValidUTF8(text, "\ufffd"))
}

func writeQP(out *bufio.Writer, text string) {
	qp := quotedprintable.NewWriter(out)
	_, _ = io.WriteString(qp, text) // a bufio.Writer keeps its error
	_ = qp.Close()
}

func (m *multiReport) writeStatus(out *bufio.Writer, boundary string) {
	kind := "message/" + m.kind
	encoding := ""
	if m.utf8 && !isASCII(m.status) {
		kind, encoding = "message/global-"+m.kind, "Content-Transfer-Encoding: 8bit\r\n"
	}
	out.WriteString("\r\n--" + boundary + "\r\nContent-Description: Report\r\nContent-Type: " + kind + "\r\n" + encoding + "\r\n" + m.status)
}

func (m *multiReport) writeReturned(out *bufio.Writer, boundary string, ret *returned) error {
	if ret == nil {
		return nil
	}
	what := "Message"
	if ret.body == nil {
		what = "Message headers"
	}
	out.WriteString("\r\n--" + boundary + "\r\nContent-Description: " + what + "\r\nContent-Type: " + ret.contentType +
		"\r\nContent-Transfer-Encoding: " + ret.encoding + "\r\n\r\n")
	if ret.body != nil {
		_, err := io.Copy(out, ret.body)
		return err
	}
	if ret.encoding == "quoted-printable" {
		writeQP(out, ret.head)
	} else {
		out.WriteString(ret.head)
	}
	return nil
}

// newBoundary returns a boundary no message contains: 128 random bits.
func newBoundary() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand
	return "=_" + hex.EncodeToString(random[:])
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
