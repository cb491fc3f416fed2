package dkim

import (
	"context"
	"io"
	"strings"
	"testing"
)

// benchMessage is a message of about 2 kB with one RSA signature.
func benchMessage(tb testing.TB) (*Verifier, string, string) {
	s := &Signer{Domain: "example.com", Keys: testKeys()[:1], Oversigned: []string{"From"}}
	head := "Received: from a by b; Mon, 30 Nov 2026 10:00:00 +0000\r\nFrom: Alice <alice@example.com>\r\nTo: bob@example.net\r\n" +
		"Subject: Hello\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
	body := strings.Repeat("The quick brown fox jumps over the lazy dog, and again.\r\n", 24)
	g, err := s.Sign(head)
	if err != nil {
		tb.Fatal(err)
	}
	io.WriteString(g, body)
	top, err := g.Finish()
	if err != nil {
		tb.Fatal(err)
	}
	return &Verifier{Resolver: published(tb, s)}, top[0] + head, body
}

// BenchmarkVerify: 2 kB, one signature of RSA-2048, the key known.
func BenchmarkVerify(b *testing.B) {
	v, head, body := benchMessage(b)
	octets := []byte(body)
	b.ReportAllocs()
	for b.Loop() {
		r := v.Verify(context.Background(), head)
		r.Write(octets)
		if r.Results()[0].Status != Pass {
			b.Fatal("no pass")
		}
	}
}

// BenchmarkUnsigned: what a message without signature costs.
func BenchmarkUnsigned(b *testing.B) {
	v, head, body := benchMessage(b)
	head = head[strings.Index(head, "Received:"):]
	octets := []byte(body)
	b.ReportAllocs()
	for b.Loop() {
		r := v.Verify(context.Background(), head)
		r.Write(octets)
		if r.Results() != nil {
			b.Fatal("a result")
		}
	}
}

// BenchmarkSign: 2 kB with RSA-2048.
func BenchmarkSign(b *testing.B) {
	_, head, body := benchMessage(b)
	s := &Signer{Domain: "example.com", Keys: testKeys()[:1]}
	octets := []byte(body)
	b.ReportAllocs()
	for b.Loop() {
		g, err := s.Sign(head)
		if err != nil {
			b.Fatal(err)
		}
		g.Write(octets)
		if _, err := g.Finish(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBody: the canonical forms of 10 MB in pieces of 32 kB.
func BenchmarkBody(b *testing.B) {
	for name, line := range map[string]string{
		"base64": strings.Repeat("QUJD", 19) + "\r\n",
		"text":   "The quick brown fox jumps over the lazy dog, and again. And once more.\r\n",
		"spaces": "The  quick\tbrown  fox  \r\n  jumps over   the lazy dog.\r\n\r\n",
	} {
		octets := []byte(strings.Repeat(line, 10<<20/len(line)))
		for form, relaxed := range map[string]bool{"simple": false, "relaxed": true} {
			b.Run(form+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(octets)))
				for b.Loop() {
					body := newBody(relaxed)
					body.sum(-1)
					for rest := octets; len(rest) > 0; {
						n := min(32<<10, len(rest))
						body.Write(rest[:n])
						rest = rest[n:]
					}
					body.end()
				}
			})
		}
	}
}
