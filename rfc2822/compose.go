package rfc2822

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// ErrNoSender: a draft without a From address (RFC 5322 §3.6.2).
var ErrNoSender = errors.New("rfc2822: no From address")

// Draft is a message to be written. Names, subjects and texts are plain UTF-8;
// WriteTo encodes what has to be encoded and folds what has to be folded. A Draft is
// for one goroutine at a time.
type Draft struct {
	From        []Address
	Sender      *Address // only where From has several
	ReplyTo     []Address
	To, Cc, Bcc []Address // Bcc is for the envelope and never written
	Subject     string
	Date        time.Time // zero: WriteTo puts the present time here
	MessageID   string    // with brackets; "": WriteTo makes one in the sender's domain and puts it here
	InReplyTo   []string  // ids, with or without brackets
	References  []string  // ids, with or without brackets
	Fields      []Field   // further fields, in their order, written as they are; see NewField and EncodeWords

	Text        string // plain text, LF or CRLF
	HTML        string // the same as HTML, or ""
	Inline      []File // what the HTML shows by cid: links
	Attachments []File
}

// File is a part with a name.
type File struct {
	Name      string    // for people; made safe as a file name
	MediaType string    // with its parameters, "text/calendar; method=REQUEST"; "" means application/octet-stream
	ContentID string    // with or without brackets; for Inline
	Data      io.Reader // read from where it stands to its end; nil is an empty file

	source source
}

// Recipients returns the addresses of the envelope: To, Cc and Bcc.
func (d *Draft) Recipients() []Address {
	var out []Address
	for _, list := range [][]Address{d.To, d.Cc, d.Bcc} {
		out = append(out, list...)
	}
	return out
}

// WriteTo writes the message with CRLF. It is pure ASCII with lines of at most
// 998 octets, unless an address's local part, one of Fields or a message/rfc822
// attachment is not.
//
// It may be called again, as after a temporary failure: the Date and the
// Message-ID stay, and each File whose Data is an io.Seeker is read again from where it
// stood. One whose Data is not, and was read, is ErrBodyRead. For another message
// clear MessageID and Date.
//
// Nothing is left out silently. The error is ErrNoSender; ErrBadName for one of
// Fields that WriteTo writes itself, such as Subject or Content-Type; ErrBadValue for an
// address without local part or domain, an id or a media type that cannot be written;
// ErrLongLine for a field; one of a File's Data; or one of w. Only the last two leave a
// piece of the message in w.
func (d *Draft) WriteTo(w io.Writer) (int64, error) {
	head, err := d.head()
	if err != nil {
		return 0, err
	}
	root := d.tree()
	if err := root.check(); err != nil {
		return 0, err
	}
	count := &countingWriter{w: w}
	out := bufio.NewWriter(count)
	for _, f := range head {
		out.WriteString(f.Raw())
	}
	err = root.write(out)
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return count.n, err
}

// head makes the fields.
func (d *Draft) head() ([]Field, error) {
	if len(d.From) == 0 || d.From[0].Addr() == "" {
		return nil, ErrNoSender
	}
	if d.Date.IsZero() {
		d.Date = time.Now()
	}
	if d.MessageID == "" {
		d.MessageID = ownID(d.From[0], d.Date)
	}
	var sender []Address
	if d.Sender != nil {
		sender = []Address{*d.Sender}
	}
	h := headWriter{}
	h.add("Date", FormatDate(d.Date))
	h.addresses("From", d.From)
	h.addresses("Reply-To", d.ReplyTo)
	h.addresses("To", d.To)
	h.addresses("Cc", d.Cc)
	h.add("Subject", EncodeWords(d.Subject))
	h.ids("Message-ID", d.MessageID)
	h.ids("In-Reply-To", d.InReplyTo...)
	h.ids("References", d.References...)
	h.addresses("Sender", sender)
	for _, f := range d.Fields {
		if f.Name() == "" || ownField(f.Name()) {
			return nil, fmt.Errorf("%w: %q among Fields", ErrBadName, f.Name())
		}
		h.fields = append(h.fields, f)
	}
	h.add("MIME-Version", "1.0")
	return h.fields, h.err
}

// ownField: fields that Draft writes, each once (RFC 5322 §3.6), and Bcc, which it
// never writes.
func ownField(name string) bool {
	switch name = strings.ToLower(name); name {
	case "date", "from", "sender", "reply-to", "to", "cc", "bcc", "subject", "message-id", "in-reply-to", "references", "mime-version":
		return true
	}
	return strings.HasPrefix(name, "content-")
}

// headWriter makes fields, and keeps the first error.
type headWriter struct {
	fields []Field
	err    error
}

func (h *headWriter) add(name, value string) {
	f, err := NewField(name, value)
	if err != nil && h.err == nil {
		h.err = err
	}
	h.fields = append(h.fields, f)
}

func (h *headWriter) addresses(name string, list []Address) {
	for _, a := range list {
		if (a.Local == "" || a.Domain == "") && h.err == nil {
			h.err = fmt.Errorf("%w: %s: no address in %+v", ErrBadValue, name, a)
		}
	}
	if len(list) > 0 {
		h.add(name, headerList(list))
	}
}

func (h *headWriter) ids(name string, ids ...string) {
	var out []string
	for _, id := range ids {
		inner := strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">")
		if safePath(inner) == "" && h.err == nil {
			h.err = fmt.Errorf("%w: %s: %q is no message id", ErrBadValue, name, id)
		}
		out = append(out, "<"+inner+">")
	}
	if len(out) > 0 {
		h.add(name, strings.Join(out, " "))
	}
}

// ownID makes a message id in the domain of an address.
func ownID(a Address, date time.Time) string {
	host, err := domains.ToASCII(a.Domain)
	if err != nil {
		host = "localhost"
	}
	return NewMessageID(strings.Trim(host, "[]"), date)
}

// headerList writes addresses, their domains in A-labels where that is enough
// to make them ASCII.
func headerList(list []Address) string {
	out := make([]Address, len(list))
	for i, a := range list {
		if ascii, err := a.ASCII(); err == nil {
			a.Domain = ascii.Domain
		}
		out[i] = a
	}
	return FormatAddressList(out)
}

// tree builds mixed(related(alternative(text, html), inline…), attachments…), of
// it what is needed.
func (d *Draft) tree() *node {
	body := &node{kind: "text/plain", text: d.Text}
	if d.HTML != "" {
		html := &node{kind: "text/html", text: d.HTML}
		if len(d.Inline) > 0 {
			html = &node{kind: "multipart/related", params: `; type="text/html"`, parts: append([]*node{html}, files(d.Inline, "inline")...)}
		}
		if d.Text != "" {
			body = &node{kind: "multipart/alternative", parts: []*node{body, html}}
		} else {
			body = html
		}
	} else if len(d.Inline) > 0 {
		body = &node{kind: "multipart/mixed", parts: append([]*node{body}, files(d.Inline, "inline")...)}
	}
	if len(d.Attachments) > 0 {
		body = &node{kind: "multipart/mixed", parts: append([]*node{body}, files(d.Attachments, "attachment")...)}
	}
	return body
}

func files(list []File, disposition string) []*node {
	var out []*node
	for i := range list {
		out = append(out, &node{kind: list[i].MediaType, disposition: disposition, file: &list[i]})
	}
	return out
}

// Resent says who sends a message on, unchanged (RFC 5322 §3.6.6).
type Resent struct {
	From      []Address
	Sender    *Address // only where From has several
	To, Cc    []Address
	Date      time.Time // zero means now
	MessageID string    // with brackets; "" makes one
}

// Resend puts the resent fields on top of a message. The errors are those of
// Draft.WriteTo; with one of them the message is as it was.
func (m *Message) Resend(r Resent) error {
	if len(r.From) == 0 || r.From[0].Addr() == "" {
		return ErrNoSender
	}
	if r.Date.IsZero() {
		r.Date = time.Now()
	}
	if r.MessageID == "" {
		r.MessageID = ownID(r.From[0], r.Date)
	}
	var sender []Address
	if r.Sender != nil {
		sender = []Address{*r.Sender}
	}
	h := headWriter{}
	h.add("Resent-Date", FormatDate(r.Date))
	h.addresses("Resent-From", r.From)
	h.addresses("Resent-Sender", sender)
	h.addresses("Resent-To", r.To)
	h.addresses("Resent-Cc", r.Cc)
	h.ids("Resent-Message-ID", r.MessageID)
	if h.err != nil {
		return h.err
	}
	m.Header.Prepend(h.fields...)
	return nil
}
