package gomessage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/rfc2822/gomessage"
)

// samples are the messages the tests of rfc2822 read, by name.
func samples(t *testing.T) map[string]string {
	out := map[string]string{}
	for _, pattern := range []string{"../../testdata/messages/*.eml", "../../testdata/messages/*/*", "../testdata/structure/*.eml"} {
		names, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range names {
			if b, err := os.ReadFile(name); err == nil && !strings.HasSuffix(name, ".md") {
				out[name] = string(b)
			}
		}
	}
	return out
}

// oursOf is the leaves of a message as rfc2822 reads them, theirsOf as go-message walks an entity.
func oursOf(t *testing.T, m *rfc2822.Message) (out []string) {
	err := m.Walk(rfc2822.Limits{}, func(path []int, p *rfc2822.Part) error {
		if p.IsMultipart() {
			return nil
		}
		r := p.Decoded
		if strings.HasPrefix(p.MediaType, "text/") {
			r = p.Text
		}
		if p.IsMessage() {
			r = p.Raw
		}
		b, err := io.ReadAll(r())
		out = append(out, fmt.Sprintf("%d %s %q", len(path), p.MediaType, b))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

func theirsOf(t *testing.T, e *message.Entity) (out []string) {
	err := e.Walk(func(path []int, e *message.Entity, err error) error {
		if err != nil {
			return err
		}
		if e.MultipartReader() != nil {
			return nil
		}
		kind, _, err := e.Header.ContentType()
		b, rerr := io.ReadAll(e.Body)
		out = append(out, fmt.Sprintf("%d %s %q", len(path), kind, b))
		return errors.Join(err, rerr)
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// TestRead: go-message sees of every sample what rfc2822 read of it, also where its own
// reader gives up.
func TestRead(t *testing.T) {
	rescued := 0
	for name, text := range samples(t) {
		m, _ := rfc2822.ReadString(text)
		e, err := gomessage.Read(m, rfc2822.Limits{}, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		ours, theirs := strings.Join(oursOf(t, m), "\n"), strings.Join(theirsOf(t, e), "\n")
		if ours != theirs {
			t.Errorf("%s:\n%.500s\nin go-message\n%.500s", name, ours, theirs)
		}
		if _, err := message.Read(strings.NewReader(text)); err != nil {
			rescued++
		}
	}
	if rescued < 30 {
		t.Errorf("go-message reads all but %d by itself: is this package still needed?", rescued)
	}
}

// TestWritten: every entity made of a sample can be written, and is read as the same leaves.
func TestWritten(t *testing.T) {
	for name, text := range samples(t) {
		m, _ := rfc2822.ReadString(text)
		e, err := gomessage.Read(m, rfc2822.Limits{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		back, err := gomessage.Message(e, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// Line ends are what an encoding may change.
		plain := func(list []string) string {
			return strings.NewReplacer(`\r`, "", `\n`, "").Replace(strings.Join(list, "\n"))
		}
		if ours, again := plain(oursOf(t, m)), plain(oursOf(t, back)); ours != again {
			t.Errorf("%s:\n%.600s\nwritten and read\n%.600s", name, ours, again)
		}
	}
}

// TestHeader: order and octets of the fields stay, lines that are none go.
func TestHeader(t *testing.T) {
	s, _, _ := rfc2822.ParseHeader("From x\r\nReceived: a\r\nX:  odd\r\n  folded \r\nreceived: b\r\njunk\r\nLast: 1")
	h := gomessage.Header(&s)
	var raw []string
	for f := h.Fields(); f.Next(); {
		b, err := f.Raw()
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, string(b))
	}
	want := "Received: a\r\n|X:  odd\r\n  folded \r\n|received: b\r\n|Last: 1\r\n"
	if got := strings.Join(raw, "|"); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if h.Get("Received") != "a" || h.Len() != 4 {
		t.Error(h.Get("Received"), h.Len())
	}
	if empty := gomessage.Header(&rfc2822.Section{}); empty.Len() != 0 {
		t.Error("an empty section has fields")
	}
}

// TestHeaderFits: what the header says is what the body is.
func TestHeaderFits(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "text/plain|",
		"Content-Type: text/plain\n":           "text/plain|",
		"Content-Type: TEXT / plain\n":         "text/plain|",
		"Content-Type: text/plain;charset=x\n": "text/plain; charset=utf-8|",
		"Content-Type: text/plain; charset=\"iso-8859-1\"\nContent-Transfer-Encoding: 8-bit\n": "text/plain; charset=utf-8|8bit",
		"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: Base64\n":         "text/plain; charset=UTF-8|Base64",
		"Content-Type: a/b; charset=x\nContent-Transfer-Encoding: uuencode\n":                  "a/b; charset=x|base64",
		"Content-Type: a/b\nContent-Transfer-Encoding: x-rot13\n":                              "a/b|binary",
		"Content-Type: a/b\nContent-Transfer-Encoding: \"qp\"\n":                               "a/b|quoted-printable",
	} {
		m, _ := rfc2822.ReadString(in + "\n")
		_ = m.Walk(rfc2822.Limits{}, func(_ []int, p *rfc2822.Part) error {
			h := gomessage.Entity(p).Header
			kind, params, err := h.ContentType()
			if charset := params["charset"]; charset != "" {
				kind += "; charset=" + charset
			}
			if got := kind + "|" + h.Get("Content-Transfer-Encoding"); got != want || err != nil {
				t.Errorf("%q: %s, %v; want %s", in, got, err, want)
			}
			return nil
		})
	}
}

func TestLimits(t *testing.T) {
	text := "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n12345\n--b\n\n67890\n--b--"
	for max, want := range map[int64]error{10: nil, 9: gomessage.ErrTooLong, 5: gomessage.ErrTooLong, 4: gomessage.ErrTooLong, 0: nil} {
		m, _ := rfc2822.ReadString(text)
		if _, err := gomessage.Read(m, rfc2822.Limits{}, max); !errors.Is(err, want) {
			t.Errorf("at most %d: %v", max, err)
		}
	}
	m, _ := rfc2822.ReadString(text)
	var limit rfc2822.Defect
	if _, err := gomessage.Read(m, rfc2822.Limits{Parts: 2}, 0); !errors.As(err, &limit) {
		t.Error(err)
	}
	// What is nested too deep is a leaf, and nothing of it is lost.
	deep := "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ninner\n--b--\n--a--"
	m, _ = rfc2822.ReadString(deep)
	e, err := gomessage.Read(m, rfc2822.Limits{Depth: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if leaves := theirsOf(t, e); len(leaves) != 1 || !strings.Contains(leaves[0], "inner") {
		t.Error(leaves)
	}
	broken := errors.New("gone")
	m, _ = rfc2822.Read(io.MultiReader(strings.NewReader("A: 1\n\nx"), iotest.ErrReader(broken)))
	if _, err := gomessage.Read(m, rfc2822.Limits{}, 0); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestMessage(t *testing.T) {
	entity := func(charset, body string) *message.Entity {
		var h message.Header
		h.SetContentType("text/plain", map[string]string{"charset": charset})
		return &message.Entity{Header: h, Body: strings.NewReader(body)}
	}
	if m, err := gomessage.Message(entity("utf-8", "Grüße"), 0); err != nil || len(m.Defects) != 0 {
		t.Error(m, err)
	}
	if _, err := gomessage.Message(entity("utf-8", strings.Repeat("x", 5000)), 4096); !errors.Is(err, gomessage.ErrTooLong) {
		t.Error(err)
	}
	if _, err := gomessage.Message(entity("koi8-r", "x"), 0); err == nil {
		t.Error("go-message cannot write koi8-r, and nobody said so")
	}
	m, _ := rfc2822.ReadString("Content-Type: multipart/mixed; charset=koi8-r; boundary=b\n\n--b\n\nx\n--b--")
	parted, err := gomessage.Read(m, rfc2822.Limits{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gomessage.Message(parted, 0); err != nil {
		t.Error("a multipart's charset says nothing, but:", err)
	}
	broken := errors.New("gone")
	e := entity("utf-8", "")
	e.Body = iotest.ErrReader(broken)
	if _, err := gomessage.Message(e, 0); !errors.Is(err, broken) {
		t.Error(err)
	}
	// What go-message's mail package writes is read.
	var b bytes.Buffer
	var h mail.Header
	h.SetSubject("Grüße")
	w, err := mail.CreateWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	read, err := message.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := gomessage.Message(read, 0); err != nil || m.Header.Text("Subject") != "Grüße" {
		t.Error(err)
	}
}
