package rfc2822

import (
	"bufio"
	"io"
	"net/mail"
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
	}
}

func BenchmarkWalkGoMessage(b *testing.B) {
	texts := walkable(b)
	for b.Loop() {
		for _, text := range texts {
			e, err := message.Read(strings.NewReader(text))
			if err != nil && !message.IsUnknownCharset(err) {
				continue
			}
			_ = e.Walk(func(_ []int, e *message.Entity, err error) error {
				if err != nil || e.MultipartReader() != nil {
					return err
				}
				_, err = io.Copy(io.Discard, e.Body)
				return err
			})
		}
	}
}
