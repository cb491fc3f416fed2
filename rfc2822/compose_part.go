package rfc2822

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
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
	kind, _, ok := ParseMediaType(n.kind)
	if !ok || !isMediaType(kind) || strings.HasPrefix(kind, "multipart/") {
		kind = "application/octet-stream"
	}
	out.WriteString("Content-Type: " + kind + "\r\nContent-Disposition: " + n.disposition)
	if n.file.Name != "" {
		out.WriteString(fileParam(SafeName(n.file.Name)))
	}
	out.WriteString("\r\n")
	if id := safePath(strings.Trim(n.file.ContentID, "<>")); id != "" {
		out.WriteString("Content-ID: <" + id + ">\r\n")
	}
	data := n.file.Data
	if data == nil {
		data = strings.NewReader("")
	}
	if strings.HasPrefix(kind, "message/") { // RFC 2046 §5.2.1: no encoding within
		out.WriteString("Content-Transfer-Encoding: 8bit\r\n\r\n")
		_, err := io.Copy(out, data)
		return err
	}
	out.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
	return writeBase64(out, data)
}

func isMediaType(s string) bool {
	a, b, ok := strings.Cut(s, "/")
	return ok && a != "" && b != "" && len(s) < 128 && strings.IndexFunc(a+b, func(c rune) bool { return !isToken(c) }) < 0
}

// fileParam writes the filename parameter, by RFC 2231 if it is not ASCII.
func fileParam(name string) string {
	if isASCII(name) {
		return ";\r\n\tfilename=" + quote(name)
	}
	var b strings.Builder
	b.WriteString(";\r\n\tfilename*=utf-8''")
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < 0x80 && qPlain(c) && c != '*' || c == '.' || c == '_' {
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
