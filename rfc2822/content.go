package rfc2822

import (
	"errors"
	"io"
	"slices"
	"strings"
)

// Content is what a mail program shows of a message.
type Content struct {
	Text        string       // the plain text, UTF-8; several such parts one below the other
	HTML        string       // the HTML, UTF-8, exactly as sent: show it in a sandbox
	Attachments []Attachment // in their order
	Truncated   bool         // Text or HTML was longer than asked for
}

// Attachment is a part shown as a file.
type Attachment struct {
	Path      []int  // for WritePart
	Name      string // safe to use as a file name; "unnamed" if the sender gave none
	MediaType string
	ContentID string // for cid: links in the HTML; may be ""
	Inline    bool   // meant to be shown within the text
	Size      int64  // decoded octets
}

// Content picks the bodies a reader shows, at most max octets of each (0
// means 1 MiB), and lists the attachments. Of alternatives (RFC 2046 §5.1.4)
// both the text and the HTML are given; format=flowed is joined; messages
// within the message are attachments. The message's stream is read, unless it is Rereadable.
func (m *Message) Content(l Limits, max int) (*Content, error) {
	if max <= 0 {
		max = 1 << 20
	}
	c := &Content{}
	err := m.Walk(l, func(path []int, p *Part) error { return c.part(path, p, max) })
	return c, err
}

func (c *Content) part(path []int, p *Part, max int) error {
	if p.IsMultipart() && p.Params["boundary"] != "" {
		return nil
	}
	if p.isAttachment() {
		return c.attach(path, p)
	}
	text, cut, err := readText(p.Text(), max)
	if err != nil {
		return err
	}
	c.Truncated = c.Truncated || cut
	into := &c.Text
	if p.MediaType == "text/html" {
		into = &c.HTML
	} else if strings.EqualFold(p.Params["format"], "flowed") {
		text = Unflow(text, strings.EqualFold(p.Params["delsp"], "yes"))
	}
	switch {
	case *into == "":
		*into = text
	case p.Parent != nil && p.Parent.MediaType == "multipart/alternative":
		*into = text // of alternatives the last is the best
	case len(*into)+len(text) > max:
		c.Truncated = true
	default:
		*into = strings.TrimRight(*into, "\r\n") + "\n\n" + text
	}
	return nil
}

func readText(r io.Reader, max int) (text string, cut bool, err error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(max)+1))
	if len(b) > max {
		return strings.ToValidUTF8(string(b[:max]), ""), true, err
	}
	return string(b), false, err
}

func (c *Content) attach(path []int, p *Part) error {
	name := p.FileName()
	if name == "" {
		name = "unnamed"
	}
	size, err := io.Copy(io.Discard, p.Decoded())
	c.Attachments = append(c.Attachments, Attachment{
		Path: slices.Clone(path), Name: name, MediaType: p.MediaType, ContentID: p.ContentID(),
		Inline: p.Disposition() == "inline" || p.Disposition() == "" && p.ContentID() != "", Size: size,
	})
	return err
}

// WritePart writes one part, decoded, to w: an attachment of Content by its
// path. It is ErrNotFound if there is no such part.
func (m *Message) WritePart(w io.Writer, l Limits, path []int) (int64, error) {
	n, found := int64(0), errors.New("found")
	err := m.Walk(l, func(at []int, p *Part) error {
		if !slices.Equal(at, path) {
			return nil
		}
		var err error
		if n, err = io.Copy(w, p.Decoded()); err != nil {
			return err
		}
		return found
	})
	switch {
	case errors.Is(err, found):
		return n, nil
	case err == nil:
		return 0, ErrNotFound
	}
	return n, err
}
