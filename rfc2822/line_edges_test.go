package rfc2822

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestBase64Lines: an attachment of any size has lines of 76 octets and comes back as it was.
func TestBase64Lines(t *testing.T) {
	for n := range 300 {
		data := bytes.Repeat([]byte{0xff, 'a', 0}, n)[:n]
		text := write(t, &Draft{From: []Address{{Local: "a", Domain: "b"}}, Attachments: []File{{Data: &oneShot{bytes.NewReader(data)}}}})
		_, body, _ := strings.Cut(text[strings.Index(text, "base64"):], "\r\n\r\n")
		body, _, _ = strings.Cut(body, "\r\n--")
		lines := strings.Split(strings.TrimSuffix(body, "\r\n"), "\r\n")
		for i, line := range lines {
			if len(line) > 76 || i+1 < len(lines) && len(line) < 76 {
				t.Errorf("%d octets: line %d has %d", n, i, len(line))
			}
		}
		m, _ := ReadString(text)
		var b bytes.Buffer
		if _, err := m.WritePart(&b, Limits{}, []int{2}); err != nil || !bytes.Equal(b.Bytes(), data) {
			t.Errorf("%d octets come back as %d, %v", n, b.Len(), err)
		}
	}
}

// TestWrittenParam: a parameter of any text is read as it was, on one line.
func TestWrittenParam(t *testing.T) {
	for _, v := range []string{"a", "a b", `a"b\c`, "ü", "ü*'%41 (x); y=z", "日本.txt", "a_b.c-ü!+/", "ü\u2028"} {
		p := writtenParam("x", v)
		_, params, _ := ParseMediaType("a/b" + p)
		if want := printable(v); params["x"] != want || !isASCII(p) || strings.Count(p, "\n") != 1 {
			t.Errorf("%q is written as %q and read as %q", v, p, params["x"])
		}
	}
}

// TestEightBitMultipart: a multipart says that it may have octets above 127 when a
// message is within it, however deep, and not otherwise (RFC 2045 §6.4).
func TestEightBitMultipart(t *testing.T) {
	from := []Address{{Local: "a", Domain: "b"}}
	for kind, want := range map[string]int{"message/rfc822": 2, "text/plain": 0} { // the multipart and the message
		d := &Draft{From: from, Text: "x", Attachments: []File{{MediaType: kind, Data: strings.NewReader("A: \xfc\r\n\r\n")}}}
		if got := strings.Count(write(t, d), "Content-Transfer-Encoding: 8bit"); got != want {
			t.Errorf("%s: %d times 8bit, want %d", kind, got, want)
		}
		d = &Draft{From: from, Text: "x", HTML: "<p>", Inline: []File{{MediaType: kind, Data: strings.NewReader("A: 1\r\n\r\n")}}}
		if got := strings.Count(write(t, d), "Content-Transfer-Encoding: 8bit"); want > 0 && got != 3 || want == 0 && got != 0 {
			t.Errorf("%s within related within alternative: %d times 8bit", kind, got)
		}
	}
}

// TestUnpartedLineEnd: the line end before a boundary line belongs to that line, also
// where the body is given as text because it has no boundary line of its own.
func TestUnpartedLineEnd(t *testing.T) {
	inner := "Content-Type: multipart/mixed; boundary=never\r\n\r\nneedle\r\n"
	for in, want := range map[string]string{
		inner: "needle\r\n",
		"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + inner + "--o--\r\n": "needle",
		"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + inner:               "needle\r\n",
		"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + inner + "\r\n--o--": "needle\r\n",
	} {
		m, _ := ReadString(in)
		if c, err := m.Content(Limits{}, 0); c.Text != want || err != nil {
			t.Errorf("%q: %q, %v", in, c.Text, err)
		}
	}
}

// TestGuessAgain: of multiparts side by side each has its boundary guessed; within one
// that was guessed none is, so that readers do not pile up.
func TestGuessAgain(t *testing.T) {
	guess := func(b, text string) string {
		return "Content-Type: multipart/mixed; boundary=never\n\n--" + b + "\nContent-Type: text/html\n\n" + text + "\n--" + b + "--\n"
	}
	m, _ := ReadString("Content-Type: multipart/mixed; boundary=o\n\n--o\n" + guess("x", "one") + "--o\n" + guess("y", "two") + "--o--\n")
	if c, _ := m.Content(Limits{}, 0); c.HTML != "one\n\ntwo" || c.Text != "" {
		t.Errorf("%q %q", c.HTML, c.Text)
	}
	nested := "Content-Type: multipart/mixed; boundary=never\n\n--x\nContent-Type: multipart/mixed; boundary=never\n\n--y\nContent-Type: text/html\n\nneedle\n--y--\n--x--\n"
	m, _ = ReadString(nested)
	if c, _ := m.Content(Limits{}, 0); !strings.Contains(c.Text, "needle") || c.HTML != "" {
		t.Errorf("%q %q", c.HTML, c.Text)
	}
}

func TestInlineAttachments(t *testing.T) {
	for fields, want := range map[string]bool{
		"":                                  false,
		"Content-ID: <a@b>\n":               true,
		"Content-Disposition: inline\n":     true,
		"Content-Disposition: attachment\n": false,
		"Content-ID: <a@b>\nContent-Disposition: attachment\n": false,
	} {
		m, _ := ReadString("Content-Type: image/png\n" + fields + "\nx")
		c, err := m.Content(Limits{}, 0)
		if err != nil || len(c.Attachments) != 1 || c.Attachments[0].Inline != want || c.Attachments[0].Name != "unnamed" {
			t.Errorf("%q: %+v, %v", fields, c.Attachments, err)
		}
	}
}

func TestDateFractions(t *testing.T) {
	for in, want := range map[string]int{"12:34:56.123": 123e6, "12:34:56.000000001": 1, "12:34:56.5Z": 5e8, "12:34:56": 0} {
		if got, err := ParseDate("1997-11-21T" + in); err != nil || got.Nanosecond() != want || got.Second() != 56 {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	if got, err := ParseDate("1997-11-21T12:00:00Z +0200"); err != nil || !got.Equal(time.Date(1997, 11, 21, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("Z and another zone: %v, %v", got, err)
	}
}

// TestASCIINames: text under every name of ASCII may be UTF-8, in words and bodies.
func TestASCIINames(t *testing.T) {
	for _, name := range []string{"us-ascii", "US-ASCII", "ascii", "ansi_x3.4-1968", "us_ascii"} {
		if got := DecodeWords("=?" + name + "?q?=C3=A9?="); got != "é" {
			t.Errorf("word in %s: %q", name, got)
		}
		m, _ := ReadString("Content-Type: text/plain; charset=" + name + "\n\n\xc3\xa9")
		if c, _ := m.Content(Limits{}, 0); c.Text != "é" {
			t.Errorf("body in %s: %q", name, c.Text)
		}
	}
}
