package rfc2822

import (
	"io"
	"strconv"
	"strings"
)

// Part is a node of a message's MIME tree: the message itself, a part of a
// multipart, or a message within the message. Walk and its kin make Parts; a zero one
// has no header section and no body to be asked for.
type Part struct {
	Header    *Section          // its header section; for the root, the message's own
	MediaType string            // in lower case, such as "text/plain"
	Params    map[string]string // of Content-Type, names in lower case
	Parent    *Part             // nil for the root
	Index     int               // its number among its siblings, from 1; 0 for the root

	raw         *treeReader
	started     bool
	kids        int // how many parts of it the walk has met
	encoding    string
	disposition string
	dispParams  map[string]string
	dispRead    bool
	check       func() bool // whether decoding met something bad
	walk        *walker
}

// ContentTransferEncoding returns the encoding in lower case: "7bit" if none is named.
func (p *Part) ContentTransferEncoding() string { return p.encoding }

// nextKid is the number of the next part within p.
func (p *Part) nextKid() int {
	p.kids++
	return p.kids
}

// IsMultipart reports whether the part is a multipart.
func (p *Part) IsMultipart() bool { return strings.HasPrefix(p.MediaType, "multipart/") }

// IsMessage reports whether the part is a message within the message.
func (p *Part) IsMessage() bool {
	return p.MediaType == "message/rfc822" || p.MediaType == "message/global" || p.MediaType == "message/news"
}

// Charset returns the charset parameter, or "" if there is none.
func (p *Part) Charset() string { return p.Params["charset"] }

// Disposition returns "attachment", "inline", another disposition in lower case, or "" (RFC 2183).
func (p *Part) Disposition() string {
	p.readDisposition()
	return p.disposition
}

func (p *Part) readDisposition() {
	if p.dispRead {
		return
	}
	p.dispRead = true
	if f, ok := p.Header.First("Content-Disposition"); ok {
		p.disposition, p.dispParams, _ = ParseMediaType(f.Value())
	}
}

// FileName returns the name the sender gave the part, made safe by safeName,
// or "" if there was none.
func (p *Part) FileName() string {
	p.readDisposition()
	name := p.dispParams["filename"]
	if name == "" {
		name = p.Params["name"]
	}
	if name == "" {
		return ""
	}
	return safeName(name)
}

// ContentID returns the Content-ID without brackets, or "".
func (p *Part) ContentID() string {
	ids := ParseMessageIDs(p.Header.Get("Content-ID"))
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

// Path returns the numbers that lead to the part, as in "1.2"; "" for the root.
func (p *Part) Path() string {
	var b strings.Builder
	for i, n := range p.path(nil) {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

func (p *Part) path(buf []int) []int {
	if p.Parent == nil {
		return buf[:0]
	}
	return append(p.Parent.path(buf), p.Index)
}

// Raw returns the body's octets as they stand. The body is part of a stream:
// it can be read once, by one of Raw, Decoded and Text, and only before the
// function Walk has called returns. A multipart or a message whose body was
// read is not taken apart.
func (p *Part) Raw() io.Reader {
	p.started = true
	return p.raw
}

// Decoded returns the body without its transfer encoding. What cannot be
// decoded is left out (base64) or left as it is; Walk notes the defect.
func (p *Part) Decoded() io.Reader {
	p.started = true
	switch p.encoding {
	case "base64":
		r := &base64Reader{src: p.raw}
		p.check = func() bool { return r.bad }
		return r
	case "quoted-printable":
		r := newQPReader(p.raw)
		p.check = func() bool { return r.bad }
		return r
	case "x-uuencode", "uuencode", "x-uue":
		r := newUUReader(p.raw)
		p.check = func() bool { return r.bad }
		return r
	}
	return p.raw
}

// Text returns the body decoded, and as UTF-8 by its charset. Text without a
// charset, or in an unknown one, is taken as UTF-8 with what is none replaced.
func (p *Part) Text() io.Reader {
	charset := p.Charset()
	if charset == "" || isASCIIName(charset) {
		charset = "utf-8" // as decodeCharset does
	}
	r, ok := charsetReader(charset, p.Decoded())
	if !ok {
		p.walk.note(UnknownCharset, p)
		r, _ = charsetReader("utf-8", r)
	}
	return r
}

// isAttachment: what a reader would show as a file.
func (p *Part) isAttachment() bool {
	if p.Disposition() == "attachment" {
		return true
	}
	text := p.MediaType == "text/plain" || p.MediaType == "text/html"
	return !text || p.FileName() != "" && p.Disposition() != "inline"
}
