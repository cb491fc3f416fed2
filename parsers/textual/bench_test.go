package textual

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// samples are a mebibyte each, as they travel, without the end.
func samples() map[string][]byte {
	fill := func(line string) []byte { return bytes.Repeat([]byte(line), 1<<20/len(line)) }
	return map[string][]byte{
		"text":    fill(strings.Repeat("The quick brown fox, say. ", 3)[:70] + "\r\n"),
		"base64":  fill(strings.Repeat("QUJD", 19) + "\r\n"),
		"dots-60": fill(".." + strings.Repeat("x", 56) + "\r\n"),
		"short":   fill("ab\r\n"),
		"lf-only": fill(strings.Repeat("x", 70) + "\n"),
	}
}

var sampleNames = []string{"text", "base64", "dots-60", "short"}

// endless gives a text and its end, again and again, in reads of any size.
type endless struct {
	text []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.at:])
	if e.at += n; e.at == len(e.text) {
		e.at = 0
	}
	return n, nil
}

func BenchmarkDotReader(b *testing.B) {
	run := func(b *testing.B, text []byte, mode Mode) {
		r := NewReader(&endless{text: append(text[:len(text):len(text)], "\r\n.\r\n"...)})
		var d DotReader
		p := make([]byte, 32<<10)
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			d.Reset(r, mode)
			for {
				if _, err := d.Read(p); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	s := samples()
	for _, name := range sampleNames {
		b.Run(name, func(b *testing.B) { run(b, s[name], Reject) })
	}
	for _, name := range []string{"text", "dots-60", "lf-only"} {
		b.Run("normalise/"+name, func(b *testing.B) { run(b, s[name], Normalise) })
	}
}

func BenchmarkDotReaderWriteTo(b *testing.B) {
	s := samples()
	for _, name := range sampleNames {
		b.Run(name, func(b *testing.B) {
			r := NewReader(&endless{text: append(s[name], ".\r\n"...)})
			var d DotReader
			b.SetBytes(int64(len(s[name])))
			b.ReportAllocs()
			for b.Loop() {
				d.Reset(r, Reject)
				if _, err := d.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDotWriter(b *testing.B) {
	s := samples()
	for _, name := range append(sampleNames, "lf-only") {
		text := bytes.ReplaceAll(s[name], []byte("\r\n.."), []byte("\r\n."))
		for _, piece := range []int{32 << 10, 1 << 10} {
			b.Run(fmt.Sprintf("%s/%d", name, piece), func(b *testing.B) {
				var d DotWriter
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					d.Reset(io.Discard, Normalise)
					for rest := text; len(rest) > 0; {
						n := min(piece, len(rest))
						d.Write(rest[:n])
						rest = rest[n:]
					}
					if err := d.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkReadLine(b *testing.B) {
	const line = "MAIL FROM:<someone@example.org> SIZE=12345 BODY=8BITMIME\r\n"
	r := NewReader(&endless{text: []byte(line)})
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		l, err := r.ReadLine(510)
		if err != nil {
			b.Fatal(err)
		}
		if verb, _ := Command(l); !Is(verb, "MAIL") {
			b.Fatal(string(verb))
		}
	}
}

func BenchmarkParser(b *testing.B) {
	const line = "MAIL FROM:<someone@example.org> SIZE=12345 BODY=8BITMIME"
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if st := SMTP.Parse(line); len(st.Arguments) != 4 {
			b.Fatal(st)
		}
	}
}

func BenchmarkNextArg(b *testing.B) {
	line := []byte("FROM:<someone@example.org> SIZE=12345 BODY=8BITMIME")
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range Args(line) {
			n++
		}
		if n != 3 {
			b.Fatal(n)
		}
	}
}

func BenchmarkReply(b *testing.B) {
	w := NewWriter(io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		w.WriteReply(250, "2.1.0", "sender ok")
		w.Flush()
	}
}
