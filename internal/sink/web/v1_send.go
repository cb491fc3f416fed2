package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/rfc2822"
)

// outgoing is a message that is to be made and put into the Box.
type outgoing struct {
	From        *mailbox
	To, Cc      []mailbox
	ReplyTo     []mailbox
	Bcc         []string
	Subject     string
	Text, HTML  string
	Attachments []struct {
		Content, Filename, ContentType, ContentID string
	}
	Tags    []string
	Headers map[string]string
}

type mailbox struct{ Name, Email string }

// sent is the id of a message that was made.
type sent struct{ ID string }

// fixed are the fields that have members of their own.
var fixed = []string{"from", "to", "cc", "bcc", "reply-to", "date", "subject", "content-type", "mime-version", "x-tags"}

func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	var in outgoing
	size := s.MessageSize
	if size <= 0 {
		size = 50 << 20
	}
	err := read(w, r, &in, size)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		answerError(w, http.StatusRequestEntityTooLarge, fmt.Errorf("larger than the %d octets that a message may have", size))
		return
	}
	var raw []byte
	var e sink.Envelope
	if err == nil {
		raw, e, err = in.write(s.Hostname)
	}
	if err != nil {
		answerError(w, http.StatusBadRequest, err)
		return
	}
	id := sink.NewID()
	e.Client, e.Protocol, e.Helo = r.RemoteAddr, "HTTP", "api"
	if user, _, ok := r.BasicAuth(); ok {
		e.User = user
	}
	if err := s.Box.Put(r.Context(), id, e, raw, in.Tags...); err != nil {
		answerError(w, http.StatusBadRequest, err)
		return
	}
	answer(w, sent{id})
}

func answerError(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(struct{ Error string }{err.Error()})
}

// write makes the message and its envelope.
func (o *outgoing) write(host string) (raw []byte, e sink.Envelope, err error) {
	if o.From == nil || o.From.Email == "" {
		return nil, e, errors.New("From.Email is missing")
	}
	d := &rfc2822.Draft{Subject: o.Subject, Text: o.Text, HTML: o.HTML}
	from, err := addresses("From", []mailbox{*o.From})
	if err != nil {
		return nil, e, err
	}
	d.From = from
	for _, field := range []struct {
		name string
		list []mailbox
		into *[]rfc2822.Address
	}{{"To", o.To, &d.To}, {"Cc", o.Cc, &d.Cc}, {"ReplyTo", o.ReplyTo, &d.ReplyTo}} {
		if *field.into, err = addresses(field.name, field.list); err != nil {
			return nil, e, err
		}
	}
	for _, b := range o.Bcc {
		a, err := rfc2822.ParseAddress(b)
		if err != nil {
			return nil, e, fmt.Errorf("in Bcc: %q: %w", b, err)
		}
		d.Bcc = append(d.Bcc, a)
	}
	if err := o.files(d); err != nil {
		return nil, e, err
	}
	for name, value := range o.Headers {
		if slices.Contains(fixed, strings.ToLower(name)) {
			return nil, e, fmt.Errorf("in Headers: %s has a member of its own", name)
		}
		if strings.EqualFold(name, "Message-ID") {
			d.MessageID = "<" + strings.Trim(value, "<> ") + ">"
			continue
		}
		f, err := rfc2822.NewField(name, rfc2822.EncodeWords(value))
		if err != nil {
			return nil, e, fmt.Errorf("in Headers: %s: %w", name, err)
		}
		d.Fields = append(d.Fields, f)
	}
	var b bytes.Buffer
	if _, err := d.WriteTo(&b); err != nil {
		return nil, e, err
	}
	e = sink.Envelope{From: o.From.Email, Received: time.Now(), Host: host}
	for _, a := range d.Recipients() {
		e.To = append(e.To, a.Addr())
	}
	return b.Bytes(), e, nil
}

func (o *outgoing) files(d *rfc2822.Draft) error {
	for i, a := range o.Attachments {
		text := a.Content
		if strings.HasPrefix(text, "data:") {
			_, text, _ = strings.Cut(text, ",")
		}
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return fmt.Errorf("Attachments[%d].Content is not base64", i)
		}
		f := rfc2822.File{Name: a.Filename, MediaType: a.ContentType, ContentID: a.ContentID, Data: bytes.NewReader(data)}
		if f.MediaType == "" {
			f.MediaType = http.DetectContentType(data)
		}
		if a.ContentID != "" && d.HTML != "" {
			d.Inline = append(d.Inline, f)
		} else {
			d.Attachments = append(d.Attachments, f)
		}
	}
	return nil
}

func addresses(field string, list []mailbox) (all []rfc2822.Address, err error) {
	for _, m := range list {
		a, err := rfc2822.ParseAddrSpec(m.Email)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", field, m.Email, err)
		}
		a.Name = m.Name
		all = append(all, a)
	}
	return all, nil
}
