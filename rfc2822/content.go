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
// within the message are attachments. The message's stream is read, unless it can be read again.
func (m *Message) Content(l Limits, max int) (*Content, error) {
	if max <= 0 {
		max = 1 << 20
	}
	c := &Content{}
	text, html := shown{max: max}, shown{max: max}
	err := m.Walk(l, func(path []int, p *Part) error { return c.part(path, p, &text, &html) })
	c.Text, c.HTML = text.String(), html.String()
	c.Truncated = text.cut || html.cut
	return c, err
}

func (c *Content) part(path []int, p *Part, text, html *shown) error {
	if p.IsMultipart() && len(path) < p.walk.limits.Depth {
		return nil
	}
	if p.isAttachment() {
		return c.attach(path, p)
	}
	into := text
	if p.MediaType == "text/html" {
		into = html
	}
	body, cut, err := readText(p.Text(), into.max)
	if err != nil {
		return err
	}
	into.cut = into.cut || cut
	if into == text && strings.EqualFold(p.Params["format"], "flowed") {
		body = unflow(body, strings.EqualFold(p.Params["delsp"], "yes"))
	}
	into.add(body, p)
	return nil
}

// shown gathers the texts of one kind that stand one below the other.
type shown struct {
	pieces    []shownText
	size, max int
	cut       bool
}

// shownText is one of them, and the multipart/alternative around it, if there
// is one, with the number of its part that the text is in.
type shownText struct {
	text        string
	alternative *Part
	branch      int
}

// add takes the text of p. It takes the place of texts of an earlier alternative: the
// last is the best (RFC 2046 §5.1.4).
func (s *shown) add(text string, p *Part) {
	if text == "" {
		return
	}
	t := shownText{text: text}
	for ; p.Parent != nil && t.alternative == nil; p = p.Parent {
		if p.Parent.MediaType == "multipart/alternative" {
			t.alternative, t.branch = p.Parent, p.Index
		}
	}
	for n := len(s.pieces); n > 0 && t.alternative != nil; n-- {
		if last := s.pieces[n-1]; last.alternative != t.alternative || last.branch == t.branch {
			break
		}
		s.size -= len(s.pieces[n-1].text)
		s.pieces = s.pieces[:n-1]
	}
	if s.size += len(text); s.size > s.max && len(s.pieces) > 0 {
		s.size -= len(text)
		s.cut = true
		return
	}
	s.pieces = append(s.pieces, t)
}

// String puts an empty line between the texts.
func (s *shown) String() string {
	if len(s.pieces) == 1 {
		return s.pieces[0].text
	}
	var b strings.Builder
	for i, t := range s.pieces {
		if i+1 < len(s.pieces) {
			t.text = strings.TrimRight(t.text, "\r\n") + "\n\n"
		}
		b.WriteString(t.text)
	}
	return b.String()
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
