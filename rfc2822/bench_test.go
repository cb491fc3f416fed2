package rfc2822

import (
	"bufio"
	"io"
	"net/mail"
	"net/netip"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"
)

func benchMessage(b *testing.B) (text string, header int) {
	text = sample(b, "delivered.eml")
	_, n, _ := ParseHeader(text)
	b.SetBytes(int64(n))
	b.ReportAllocs()
	return text, n
}

// The header scan, and the same with what people use.
func BenchmarkHeaderScan(b *testing.B) {
	text, _ := benchMessage(b)
	for b.Loop() {
		if m, err := Read(strings.NewReader(text)); err != nil || m.Header.Len() < 8 {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeaderScanNetMail(b *testing.B) {
	text, _ := benchMessage(b)
	for b.Loop() {
		if m, err := mail.ReadMessage(strings.NewReader(text)); err != nil || len(m.Header) < 8 {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeaderScanGoMessage(b *testing.B) {
	text, _ := benchMessage(b)
	for b.Loop() {
		if h, err := textproto.ReadHeader(bufio.NewReader(strings.NewReader(text))); err != nil || h.Len() < 8 {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeaderScanGoMessageRead(b *testing.B) {
	text, _ := benchMessage(b)
	for b.Loop() {
		if e, err := message.Read(strings.NewReader(text)); err != nil || e.Header.Len() < 8 {
			b.Fatal(err)
		}
	}
}

func BenchmarkPeek(b *testing.B) {
	text, _ := benchMessage(b)
	for b.Loop() {
		head, r, err := Peek(strings.NewReader(text), 0)
		if err != nil || head.Missing("Date") != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}

// walkable are the samples both can read; the leaves are read and decoded.
func walkable(b *testing.B) []string {
	var out []string
	size := 0
	for _, text := range corpus(b) {
		if _, err := goMessageLeaves(text); err == nil && len(text) < 100000 {
			out = append(out, text)
			size += len(text)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	return out
}

// A full walk of the messages in testdata, and the same with go-message.
func BenchmarkWalk(b *testing.B) {
	texts := walkable(b)
	for b.Loop() {
		for _, text := range texts {
			walkOurs(b, text)
		}
	}
}

func walkOurs(b *testing.B, text string) {
	m, err := Read(strings.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	err = m.Walk(Limits{}, func(_ []int, p *Part) error {
		if p.IsMultipart() || p.IsMessage() {
			return nil
		}
		r := p.Decoded
		if strings.HasPrefix(p.MediaType, "text/") {
			r = p.Text // go-message, too, converts text only
		}
		_, err := io.Copy(io.Discard, r())
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func walkGoMessage(text string) {
	e, err := message.Read(strings.NewReader(text))
	if err != nil && !message.IsUnknownCharset(err) {
		return
	}
	_ = e.Walk(func(_ []int, e *message.Entity, err error) error {
		if err != nil || e.MultipartReader() != nil {
			return err
		}
		_, err = io.Copy(io.Discard, e.Body)
		return err
	})
}

func BenchmarkWalkGoMessage(b *testing.B) {
	texts := walkable(b)
	for b.Loop() {
		for _, text := range texts {
			walkGoMessage(text)
		}
	}
}

// 5,000 levels of multipart: the limit makes it cheap.
func BenchmarkWalkNested(b *testing.B) {
	text := nest(5000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		m, _ := ReadString(text)
		if err := m.Walk(Limits{}, func([]int, *Part) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadAddressList(b *testing.B) {
	const text = `"Byron, Ada" <ada@example.com>, Ben <ben@example.org>, =?utf-8?q?J=C3=BCrgen?= <j@example.net>, broken, cy@example.org`
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if list, bad := ReadAddressList(text); len(list) != 4 || len(bad) != 1 {
			b.Fatal(list, bad)
		}
	}
}

func BenchmarkParseDate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDate("Fri, 20 Nov 2026 09:05:01 +0100 (CET)"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReceivedString(b *testing.B) {
	r := Received{From: "helo.example.com", FromIP: netip.MustParseAddr("192.0.2.25"), FromRDNS: "mx1.example.com", By: "mx.example.org", With: "ESMTPS", ID: "abc123", For: "u@example.org", Date: when}
	b.ReportAllocs()
	for b.Loop() {
		_ = r.String()
	}
}

func BenchmarkDecode(b *testing.B) {
	raw := strings.Repeat("0123456789 plain text with a few =C3=BC escapes and more text, 76=20octets\r\n", 1000)
	b64 := strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 1000)
	for name, open := range map[string]func() io.Reader{
		"quoted-printable": func() io.Reader { return newQPReader(strings.NewReader(raw)) },
		"base64":           func() io.Reader { return &base64Reader{src: strings.NewReader(b64)} },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(b64)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.Copy(io.Discard, open()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReport(b *testing.B) {
	r := sampleReport()
	b.ReportAllocs()
	for b.Loop() {
		r.Original = strings.NewReader("From: a@b\r\nSubject: s\r\n\r\nbody\r\n")
		if _, err := r.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
