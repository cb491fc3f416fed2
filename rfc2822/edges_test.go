package rfc2822_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/rfc2822"
)

// edges are the sizes of the buffers: of the walk, of header sections, and of the
// decoders.
var edges = []int{8 << 10, 16 << 10, 1024, 2048, 4096}

func pieces(r *rand.Rand, text string) io.Reader {
	return mailtest.Pieces(r, strings.NewReader(text), edges[r.IntN(len(edges))])
}

// encoded is a text in quoted-printable and base64, in lines that are as long as
// anybody may make them.
func encoded(r *rand.Rand, text string) (qp, b64 string) {
	width := max(4, []int{76, 75, 1024, 2048, 4096, 9000}[r.IntN(6)]-4+r.IntN(9))
	var q, b strings.Builder
	for i, n := 0, 0; i < len(text); i++ {
		c := fmt.Sprintf("=%02X", text[i])
		if text[i] > ' ' && text[i] < 127 && text[i] != '=' {
			c = text[i : i+1]
		}
		q.WriteString(c)
		if n += len(c); n >= width {
			q.WriteString("=\r\n")
			n = 0
		}
	}
	code := base64.StdEncoding.EncodeToString([]byte(text))
	for ; len(code) > width; code = code[width:] {
		b.WriteString(code[:width] + "\r\n")
	}
	return q.String(), b.String() + code
}

// inParts wraps a text into parts of each encoding, among them a message.
func inParts(r *rand.Rand, text string) string {
	qp, b64 := encoded(r, text)
	var out strings.Builder
	out.WriteString("Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n")
	for _, part := range [][2]string{
		{"Content-Transfer-Encoding: quoted-printable", qp}, {"Content-Transfer-Encoding: base64", b64},
		{"Content-Type: text/plain", text}, {"Content-Type: message/rfc822", text},
		{"Content-Type: multipart/digest; boundary=c", "--c\r\n\r\n" + text + "\r\n--c--\r\n"},
	} {
		fmt.Fprintf(&out, "--b\r\n%s\r\n\r\n%s\r\n", part[0], part[1])
	}
	return out.String() + "--b--\r\nepilogue\r\n"
}

// seen is a message as a walk finds it: each leaf as it stands and decoded.
func seen(t *testing.T, m *rfc2822.Message, some func(io.Reader) io.Reader) string {
	t.Helper()
	var out strings.Builder
	for _, decoded := range []bool{false, true} {
		err := m.Walk(rfc2822.Limits{}, func(path []int, p *rfc2822.Part) error {
			fmt.Fprintf(&out, "\n%v %s: ", path, p.MediaType)
			if p.IsMultipart() || p.IsMessage() {
				return nil
			}
			src := p.Raw()
			if decoded {
				src = p.Decoded()
			}
			_, err := io.Copy(&out, struct{ io.Reader }{some(src)})
			return err
		})
		if decoded && errors.Is(err, rfc2822.ErrBodyRead) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// TestEdges: a message is the same from a reader that gives it in pieces, and
// spoils what it lent, as from a string; what is put back together is what was
// read; and what was encoded is decoded.
func TestEdges(t *testing.T) {
	for r, text := range (mailtest.Messages{Edges: edges, Wild: true}).Each(t) {
		mail := text
		if r.IntN(3) > 0 {
			mail = inParts(r, text)
		}
		m, err := rfc2822.Read(pieces(r, mail))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if _, err := m.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		if d := mailtest.Differ(out.String(), mail); d != "" {
			t.Fatalf("WriteTo: %s", d)
		}
		whole, err := rfc2822.ReadString(mail)
		if err != nil {
			t.Fatal(err)
		}
		want := seen(t, whole, func(src io.Reader) io.Reader { return src })
		m, err = rfc2822.Read(pieces(r, mail))
		if err != nil {
			t.Fatal(err)
		}
		got := seen(t, m, func(src io.Reader) io.Reader { return mailtest.Pieces(r, src, edges[r.IntN(len(edges))]) })
		if d := mailtest.Differ(got, want[:min(len(want), len(got))]); d != "" {
			t.Fatalf("Walk: %s", d)
		}
		if mail != text && !strings.Contains(want, "\n[1] text/plain: "+text+"\n[2] text/plain: "+text+"\n[3]") {
			t.Fatal("what was encoded was not decoded")
		}
		checkPeek(t, r, mail)
	}
}

// checkPeek looks at a header and reads on.
func checkPeek(t *testing.T, r *rand.Rand, mail string) {
	t.Helper()
	header, rest, err := rfc2822.Peek(pieces(r, mail), 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(rest)
	if d := mailtest.Differ(string(b), mail); d != "" || err != nil {
		t.Fatalf("Peek: %v; %s", err, d)
	}
	if !strings.HasPrefix(mail, header.String()) {
		t.Fatalf("Peek: header %.100q", header.String())
	}
}
