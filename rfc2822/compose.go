package rfc2822

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"time"
)

// ErrNoSender: a draft without From (RFC 5322 §3.6.2).
var ErrNoSender = errors.New("rfc2822: no From address")

// Draft is a message to be written. Names, subjects and texts are plain UTF-8;
// WriteTo encodes what has to be encoded and folds what has to be folded.
type Draft struct {
	From        []Address
	Sender      *Address // only where From has several
	ReplyTo     []Address
	To, Cc, Bcc []Address // Bcc is for the envelope and never written
	Subject     string
	Date        time.Time // zero means now
	MessageID   string    // with brackets; "" makes one in the sender's domain
	InReplyTo   []string  // ids without brackets
	References  []string  // ids without brackets
	Header      []Header  // further fields, in their order; values are encoded

	Text        string // plain text, LF or CRLF
	HTML        string // the same as HTML, or ""
	Inline      []File // what the HTML shows by cid: links
	Attachments []File
}

// File is a part with a name.
type File struct {
	Name      string
	MediaType string // "" means application/octet-stream
	ContentID string // without brackets; for Inline
	Data      io.Reader
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
// 998 octets, unless an address's local part or a message/rfc822 attachment is not.
// The error is ErrNoSender, one of ErrBadName and ErrLongLine for a field, one of a
// File's Data, or one of w.
func (d *Draft) WriteTo(w io.Writer) (int64, error) {
	head, err := d.head()
	if err != nil {
		return 0, err
	}
	count := &countingWriter{w: w}
	out := bufio.NewWriter(count)
	for _, f := range head {
		out.WriteString(f.Raw())
	}
	err = d.tree().write(out)
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return count.n, err
}

// head makes the fields.
func (d *Draft) head() ([]Field, error) {
	if len(d.From) == 0 {
		return nil, ErrNoSender
	}
	date := d.Date
	if date.IsZero() {
		date = time.Now()
	}
	id := d.MessageID
	if id == "" {
		id = ownID(d.From[0], date)
	}
	list := []Header{
		{"Date", FormatDate(date)},
		{"From", headerList(d.From)},
		{"Reply-To", headerList(d.ReplyTo)},
		{"To", headerList(d.To)},
		{"Cc", headerList(d.Cc)},
		{"Subject", EncodeWords(d.Subject)},
		{"Message-ID", id},
		{"In-Reply-To", brackets(d.InReplyTo)},
		{"References", brackets(d.References)},
	}
	if d.Sender != nil {
		list = append(list, Header{"Sender", headerList([]Address{*d.Sender})})
	}
	for _, h := range d.Header {
		list = append(list, Header{h.Key, EncodeWords(h.Value)})
	}
	list = append(list, Header{"MIME-Version", "1.0"})
	var out []Field
	for _, h := range list {
		if h.Value == "" && h.Key != "Subject" {
			continue
		}
		f, err := NewField(h.Key, h.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// ownID makes a message id in the domain of an address.
func ownID(a Address, date time.Time) string {
	host, err := DomainToASCII(a.Domain)
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

func brackets(ids []string) string {
	var out []string
	for _, id := range ids {
		if safe := safePath(strings.Trim(id, "<>")); safe != "" {
			out = append(out, "<"+safe+">")
		}
	}
	return strings.Join(out, " ")
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

// Resend puts the resent fields on top of a message.
func (m *Message) Resend(r Resent) error {
	if len(r.From) == 0 {
		return ErrNoSender
	}
	date := r.Date
	if date.IsZero() {
		date = time.Now()
	}
	id := r.MessageID
	if id == "" {
		id = ownID(r.From[0], date)
	}
	list := []Header{{"Resent-Date", FormatDate(date)}, {"Resent-From", headerList(r.From)}}
	if r.Sender != nil {
		list = append(list, Header{"Resent-Sender", headerList([]Address{*r.Sender})})
	}
	list = append(list, Header{"Resent-To", headerList(r.To)}, Header{"Resent-Cc", headerList(r.Cc)}, Header{"Resent-Message-ID", id})
	var fields []Field
	for _, h := range list {
		if h.Value == "" {
			continue
		}
		f, err := NewField(h.Key, h.Value)
		if err != nil {
			return err
		}
		fields = append(fields, f)
	}
	m.Header.Prepend(fields...)
	return nil
}
