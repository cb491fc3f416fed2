// Package gomessage joins rfc2822 with emersion/go-message: what is built on that
// library (its mail package, OpenPGP, filters) works on messages that rfc2822 has read,
// among them those that the library itself cannot read or reads only in part.
//
//	m, err := rfc2822.ReadFile("message.eml")
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	entity, err := gomessage.Read(m, rfc2822.Limits{}, 0)
//	if err != nil {
//		return err
//	}
//	reader := mail.NewReader(entity)
//
// Read gives a whole message, Entity one part while it is walked, Header a header
// section. Message takes an entity the other way. Whoever wants the exact octets, to
// verify a signature say, needs none of this: rfc2822's Message.Reader and Part.Raw give
// them to anything that reads.
//
// No function keeps state between calls. An entity is for one goroutine at a time.
package gomessage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/emersion/go-message"

	"github.com/postrider-mail/postrider/rfc2822"
)

// ErrTooLong: the bodies of a message are longer than Read was allowed to hold.
var ErrTooLong = errors.New("gomessage: the message is too long to hold")

// defaultMax is how many octets of bodies Read holds unless told otherwise.
const defaultMax = 32 << 20

// Header gives the fields of a header section in their order, each with its octets. Lines
// that are no fields are left out: go-message has no place for them.
func Header(s *rfc2822.Section) message.Header {
	var fields []rfc2822.Field
	for f := range s.All() {
		if f.Name() != "" {
			fields = append(fields, f)
		}
	}
	var h message.Header
	for i := len(fields) - 1; i >= 0; i-- { // AddRaw adds on top
		raw := fields[i].Raw()
		if !strings.HasSuffix(raw, "\n") {
			raw += "\r\n" // the message was cut short in its header
		}
		h.AddRaw([]byte(raw))
	}
	return h
}

// Entity gives a part, while Message.Walk is at it, as an entity without parts. Its
// body streams: decoded and, of text, as UTF-8, of a message or a multipart the octets as
// they stand. Like the part's own readers it can be read once, and until the function that
// Walk has called returns.
//
// The header is the part's own, but for Content-Type and Content-Transfer-Encoding
// where go-message would understand them otherwise than rfc2822, or where they would not
// fit the body: text in another charset has charset=utf-8, because that is what the
// body is now.
func Entity(p *rfc2822.Part) *message.Entity {
	text := strings.HasPrefix(p.MediaType, "text/")
	e := &message.Entity{Header: headerOf(p, text)}
	switch {
	case p.IsMultipart() || p.IsMessage():
		e.Body = p.Raw()
	case text:
		e.Body = p.Text()
	default:
		e.Body = p.Decoded()
	}
	return e
}

// headerOf is the header of a part, such that go-message reads of it what rfc2822 did.
func headerOf(p *rfc2822.Part, text bool) message.Header {
	h := Header(p.Header)
	params := maps.Clone(p.Params)
	if params == nil {
		params = map[string]string{}
	}
	if charset := strings.ToLower(params["charset"]); text && charset != "" && charset != "us-ascii" && charset != "utf-8" {
		params["charset"] = "utf-8"
	}
	kind, theirs, err := h.ContentType()
	if err != nil || kind != p.MediaType || !maps.Equal(theirs, params) {
		h.SetContentType(p.MediaType, params)
	}
	switch encoding := p.ContentTransferEncoding(); encoding {
	case "x-uuencode", "uuencode", "x-uue":
		h.Set("Content-Transfer-Encoding", "base64") // what the body is written in, if it is
	default:
		if theirs := strings.ToLower(h.Get("Content-Transfer-Encoding")); theirs != encoding && (theirs != "" || encoding != "7bit") {
			h.Set("Content-Transfer-Encoding", encoding)
		}
	}
	return h
}

// node is a part with what is within it, once it was read.
type node struct {
	entity *message.Entity
	parts  []*node
}

// Read gives a message as an entity with all its parts, as rfc2822 takes it apart
// within the limits. The bodies are held in memory, decoded, at most max octets of them
// together (0 means 32 MiB): more is ErrTooLong. The other errors are those of
// Message.Walk. Messages within the message are leaves, as go-message has them. The
// message's stream is read, unless it can be read again.
func Read(m *rfc2822.Message, l rfc2822.Limits, max int64) (*message.Entity, error) {
	if max <= 0 {
		max = defaultMax
	}
	nodes := map[*rfc2822.Part]*node{}
	var root *node
	err := m.Walk(l, func(path []int, p *rfc2822.Part) error {
		n := &node{entity: &message.Entity{}}
		if nodes[p] = n; root == nil {
			root = n
		}
		if parent := nodes[p.Parent]; parent != nil {
			parent.parts = append(parent.parts, n)
		}
		if p.IsMultipart() && len(path) < depth(l) {
			n.entity.Header = headerOf(p, true)
			return nil
		}
		n.entity = Entity(p)
		body, err := io.ReadAll(io.LimitReader(n.entity.Body, max+1))
		if max -= int64(len(body)); max < 0 {
			return ErrTooLong
		}
		n.entity.Body = bytes.NewReader(body)
		return err
	})
	if err != nil {
		return nil, err
	}
	return root.build()
}

// depth is how deep rfc2822 takes a message apart.
func depth(l rfc2822.Limits) int {
	if l.Depth <= 0 {
		return 50
	}
	return min(l.Depth, 1000)
}

// build makes entities of a multipart and what is within it.
func (n *node) build() (*message.Entity, error) {
	if n.entity.Body != nil {
		return n.entity, nil
	}
	parts := make([]*message.Entity, len(n.parts))
	for i, p := range n.parts {
		e, err := p.build()
		if err != nil {
			return nil, err
		}
		parts[i] = e
	}
	return message.NewMultipart(n.entity.Header, parts)
}

// Message takes an entity as a message. The entity is read and written as go-message
// writes it, in memory, at most max octets of it (0 means 32 MiB): more is ErrTooLong. The
// error may also be one of the entity's body, or of what go-message cannot write, such
// as text in another charset than UTF-8.
func Message(e *message.Entity, max int64) (*rfc2822.Message, error) {
	if max <= 0 {
		max = defaultMax
	}
	w := &limitedBuilder{left: max}
	if err := e.WriteTo(w); err != nil {
		return nil, fmt.Errorf("gomessage: %w", err)
	}
	return rfc2822.ReadString(w.String())
}

// limitedBuilder gathers at most so many octets.
type limitedBuilder struct {
	strings.Builder
	left int64
}

func (b *limitedBuilder) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, ErrTooLong
	}
	return b.Builder.Write(p)
}
