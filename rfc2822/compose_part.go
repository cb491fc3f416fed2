package rfc2822

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// node is a part to be written: a multipart, a text, or a file.
type node struct {
	kind, params, disposition string
	text                      string
	file                      *File
	parts                     []*node
}

// write writes the node's own fields, the empty line, and its body.
func (n *node) write(out *bufio.Writer) error {
	switch {
	case len(n.parts) > 0:
		return n.writeMultipart(out)
	case n.file != nil:
		return n.writeFile(out)
	}
	n.writeText(out)
	return nil
}

func (n *node) writeMultipart(out *bufio.Writer) error {
	boundary := newBoundary()
	out.WriteString("Content-Type: " + n.kind + n.params + ";\r\n\tboundary=\"" + boundary + "\"\r\n")
	if n.eight() {
		out.WriteString("Content-Transfer-Encoding: 8bit\r\n") // RFC 2045 §6.4: no less than its parts
	}
	out.WriteString("\r\n")
	for _, p := range n.parts {
		out.WriteString("--" + boundary + "\r\n")
		if err := p.write(out); err != nil {
			return err
		}
		out.WriteString("\r\n")
	}
	_, err := out.WriteString("--" + boundary + "--\r\n")
	return err
}

// eight reports whether octets above 127 may be within: only in messages.
func (n *node) eight() bool {
	for _, p := range n.parts {
		if p.eight() || strings.HasPrefix(strings.ToLower(p.kind), "message/") {
			return true
		}
	}
	return false
}

// writeText writes text in the plainest encoding that carries it.
func (n *node) writeText(out *bufio.Writer) {
	text := strings.ToValidUTF8(strings.ReplaceAll(n.text, "\r\n", "\n"), "\ufffd")
	text = strings.ReplaceAll(text, "\n", "\r\n")
	high := 0
	for i := 0; i < len(text); i++ {
		if text[i] >= 0x80 {
			high++
		}
	}
	switch {
	case high == 0 && !longLine(text) && !strings.ContainsAny(text, "\x00") && bareCR(text) < 0:
		out.WriteString("Content-Type: " + n.kind + "; charset=us-ascii\r\n\r\n" + text)
	case high*2 > len(text):
		out.WriteString("Content-Type: " + n.kind + "; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n")
		_ = writeBase64(out, strings.NewReader(text)) // a string has no errors
	default:
		out.WriteString("Content-Type: " + n.kind + "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
		writeQP(out, text)
	}
}

func (n *node) writeFile(out *bufio.Writer) error {
	out.WriteString("Content-Type: " + n.kind + n.params + "\r\nContent-Disposition: " + n.disposition)
	if n.file.Name != "" {
		out.WriteString(writtenParam("filename", safeName(n.file.Name)))
	}
	out.WriteString("\r\n")
	if n.file.ContentID != "" {
		out.WriteString("Content-ID: <" + contentID(n.file) + ">\r\n")
	}
	data, err := n.file.source.open()
	if err != nil {
		return err
	}
	if strings.HasPrefix(n.kind, "message/") { // RFC 2046 §5.2.1: no encoding within
		out.WriteString("Content-Transfer-Encoding: 8bit\r\n\r\n")
		_, err := io.Copy(out, data)
		return err
	}
	out.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
	return writeBase64(out, data)
}

func contentID(f *File) string {
	return safePath(strings.TrimSuffix(strings.TrimPrefix(f.ContentID, "<"), ">"))
}

// check sees before anything is written whether all files can be.
func (n *node) check() error {
	for _, p := range n.parts {
		if err := p.check(); err != nil {
			return err
		}
	}
	if n.file == nil {
		return nil
	}
	if n.file.ContentID != "" && contentID(n.file) == "" {
		return fmt.Errorf("%w: Content-ID %q of %s", ErrBadValue, n.file.ContentID, n.file.Name)
	}
	if err := n.mediaType(); err != nil {
		return err
	}
	if err := n.file.source.mark(n.file.Data); err != nil {
		return fmt.Errorf("%w: %s", err, n.file.Name)
	}
	return nil
}

// mediaType makes the node's type and parameters of the file's.
func (n *node) mediaType() error {
	if n.file.MediaType == "" {
		n.kind = "application/octet-stream"
		return nil
	}
	kind, params, ok := ParseMediaType(n.file.MediaType)
	if !ok || !isMediaType(kind) || strings.HasPrefix(kind, "multipart/") || strings.ContainsAny(n.file.MediaType, "\r\n\x00") {
		return fmt.Errorf("%w: media type %q of %s", ErrBadValue, n.file.MediaType, n.file.Name)
	}
	n.kind, n.params = kind, ""
	for _, name := range slices.Sorted(maps.Keys(params)) {
		p := writtenParam(name, params[name])
		if v := params[name]; v != "" && strings.IndexFunc(v, func(c rune) bool { return !isToken(c) }) < 0 {
			p = ";\r\n\t" + name + "=" + v // a token, as others write it
		}
		if !isMediaType("x/"+name) || len(p) > hardLine || strings.ContainsAny(params[name], "\r\n\x00") {
			return fmt.Errorf("%w: media type %q of %s", ErrBadValue, n.file.MediaType, n.file.Name)
		}
		n.params += p
	}
	return nil
}

func isMediaType(s string) bool {
	a, b, ok := strings.Cut(s, "/")
	return ok && a != "" && b != "" && len(s) < 128 && strings.IndexFunc(a+b, func(c rune) bool { return !isToken(c) }) < 0
}

// writtenParam writes a parameter on a line of its own, by RFC 2231 if its value is not ASCII.
func writtenParam(name, value string) string {
	value = strings.ToValidUTF8(value, "\ufffd")
	if isASCII(value) {
		return ";\r\n\t" + name + "=" + quote(value)
	}
	var b strings.Builder
	b.WriteString(";\r\n\t" + name + "*=utf-8''")
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < 0x80 && qPlain(c) && c != '*' || c == '.' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// writeBase64 writes base64 in lines of 76 octets.
func writeBase64(out *bufio.Writer, data io.Reader) error {
	lines := &lineWriter{out: out}
	enc := base64.NewEncoder(base64.StdEncoding, lines)
	if _, err := io.Copy(enc, data); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	if lines.used > 0 {
		out.WriteString("\r\n")
	}
	return nil
}

type lineWriter struct {
	out  *bufio.Writer
	used int
}

func (l *lineWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(76-l.used, len(p))
		if _, err := l.out.Write(p[:n]); err != nil {
			return 0, err
		}
		p = p[n:]
		if l.used += n; l.used == 76 {
			l.out.WriteString("\r\n")
			l.used = 0
		}
	}
	return total, nil
}
