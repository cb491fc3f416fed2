package dkim

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"sync"
	"testing"
	"time"
)

// testKeys are made once: RSA keys take their time.
var testKeys = sync.OnceValue(func() []SigningKey {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return []SigningKey{{"r", r}, {"e", e}}
})

// published is the zone with the keys of a signer.
func published(t testing.TB, s *Signer) zone {
	t.Helper()
	z := zone{}
	for _, k := range s.Keys {
		record, err := Record(k.Key.Public())
		if err != nil {
			t.Fatal(err)
		}
		z[strings.TrimSuffix(RecordName(k.Selector, s.Domain), ".")] = []string{record}
	}
	return z
}

// signed puts the signatures on top of a message whose body came in pieces.
func signed(t testing.TB, s *Signer, message string, piece int) string {
	t.Helper()
	header, body := parted(message)
	g, err := s.Sign(header)
	if err != nil {
		t.Fatal(err)
	}
	most := g.Most()
	write(g, body, piece)
	fields, err := g.Finish()
	if err != nil {
		t.Fatal(err)
	}
	top := strings.Join(fields, "")
	if len(top) > most {
		t.Errorf("%d octets, more than the %d that were said", len(top), most)
	}
	for line := range strings.Lines(top) {
		if len(line) > 80 {
			t.Errorf("line of %d octets: %q", len(line), line)
		}
	}
	return top + message
}

const simpleMessage = "From: Alice <alice@example.com>\r\nTo: bob@example.net\r\nSubject: Hello\r\n" +
	"Date: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nHello  Bob,\r\n\r\nhello. \r\n\r\n"

func TestSign(t *testing.T) {
	s := &Signer{Domain: "example.com", Keys: testKeys(), Lifetime: 12 * 24 * time.Hour}
	message := signed(t, s, simpleMessage, 5)
	v := &Verifier{Resolver: published(t, s)}
	results := verify(v, message, 3)
	if statuses(results) != "pass,pass" {
		t.Fatalf("%+v of\n%s", results, message)
	}
	for i, r := range results {
		if r.Domain != "example.com" || r.Identity != "@example.com" || r.Selector != s.Keys[i].Selector ||
			r.Expires.Sub(r.Time) != s.Lifetime || r.Algorithm != []string{"rsa-sha256", "ed25519-sha256"}[i] || r.Bits != []int{2048, 256}[i] {
			t.Errorf("%+v", r)
		}
	}
}
