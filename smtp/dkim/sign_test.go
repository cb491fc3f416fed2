package dkim

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
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

// TestSignRefused: what nobody would verify is not signed.
func TestSignRefused(t *testing.T) {
	good := testKeys()[1:]
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const from = "From: a@example.com\r\n"
	for name, test := range map[string]struct {
		s      Signer
		header string
	}{
		"no domain":         {Signer{Keys: good}, from},
		"top-level domain":  {Signer{Domain: "com", Keys: good}, from},
		"domain with fold":  {Signer{Domain: "example.com\r\nX: y", Keys: good}, from},
		"no key":            {Signer{Domain: "example.com"}, from},
		"nil key":           {Signer{Domain: "example.com", Keys: []SigningKey{{"s", nil}}}, from},
		"no selector":       {Signer{Domain: "example.com", Keys: []SigningKey{{"", good[0].Key}}}, from},
		"bad selector":      {Signer{Domain: "example.com", Keys: []SigningKey{{"a; b", good[0].Key}}}, from},
		"name too long":     {Signer{Domain: strings.Repeat("a.", 110) + "com", Keys: []SigningKey{{strings.Repeat("s.", 20) + "s", good[0].Key}}}, from},
		"other type of key": {Signer{Domain: "example.com", Keys: []SigningKey{{"s", ec}}}, from},
		"bad field":         {Signer{Domain: "example.com", Keys: good, Fields: []string{"To:Cc"}}, from},
		"bad oversigned":    {Signer{Domain: "example.com", Keys: good, Oversigned: []string{""}}, from},
		"no From":           {Signer{Domain: "example.com", Keys: good}, "To: a@example.com\r\n"},
		"empty header":      {Signer{Domain: "example.com", Keys: good}, ""},
		"From in the body":  {Signer{Domain: "example.com", Keys: good}, "To: a@example.com\r\n\r\n" + from},
		"LF alone":          {Signer{Domain: "example.com", Keys: good}, from + "To: a\n b\r\n"},
		"CR alone":          {Signer{Domain: "example.com", Keys: good}, from + "To: a\rb\r\n"},
	} {
		if _, err := test.s.Sign(test.header); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestSignFields: of each field all are signed, once, and From whatever was asked for.
func TestSignFields(t *testing.T) {
	s := &Signer{Domain: "Example.COM", Keys: []SigningKey{{"E", testKeys()[1].Key}}, Fields: []string{"to", "To", "X-Twice"}, Oversigned: []string{"X-Twice", "From"}}
	m := signed(t, s, "X-Twice: 1\r\nFrom: a@example.com\r\nX-Twice: 2\r\nTo: b@example.net\r\nCc: c@example.net\r\n\r\nHello.\r\n", 3)
	if unfolded := strings.ReplaceAll(m, "\r\n\t", ""); !strings.Contains(unfolded, "h=From:From:to:X-Twice:X-Twice:X-Twice;") || !strings.Contains(unfolded, "d=example.com;s=e;") && !strings.Contains(unfolded, "d=example.com; s=e;") {
		t.Error(m)
	}
	record, err := Record(s.Keys[0].Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	v := &Verifier{Resolver: zone{"e._domainkey.example.com": {record}}}
	if r := verify(v, m, 100); statuses(r) != "pass" {
		t.Errorf("%+v", r)
	}
}

// TestMostIsExact: what was said before is what comes, whatever is in the message.
func TestMostIsExact(t *testing.T) {
	for name, m := range awkward() {
		s := &Signer{Domain: "example.com", Keys: testKeys(), Lifetime: time.Hour}
		header, body := parted(m)
		g, err := s.Sign(header)
		if err != nil {
			t.Fatal(name, err)
		}
		most := g.Most()
		write(g, body, 100)
		fields, err := g.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(strings.Join(fields, "")); n != most {
			t.Errorf("%s: %d octets, said %d", name, n, most)
		}
	}
}

// TestLifetime: a signature is good up to its last second, in a queue that tries for days.
func TestLifetime(t *testing.T) {
	const life = 12 * 24 * time.Hour
	s, v, _ := setup(t, 1)
	made := time.Unix(1_800_000_000, 0)
	s.Lifetime, s.Now = life, func() time.Time { return made }
	m := signed(t, s, simpleMessage, 10)
	for after, want := range map[time.Duration]Status{0: Pass, life: Pass, life + time.Second: PermError} {
		v.Now = func() time.Time { return made.Add(after) }
		if r := verify(v, m, 10); r[0].Status != want {
			t.Errorf("after %v: %+v", after, r)
		}
	}
	s.Lifetime = 0
	v.Now = func() time.Time { return made.Add(100 * 365 * 24 * time.Hour) }
	if r := verify(v, signed(t, s, simpleMessage, 10), 10); r[0].Status != Pass || !r[0].Expires.IsZero() {
		t.Errorf("%+v", r)
	}
}

// TestUTF8Domain: a domain with letters beyond ASCII is asked for and compared in A-labels (RFC 8616).
func TestUTF8Domain(t *testing.T) {
	s := &Signer{Domain: "bücher.example", Keys: testKeys()[1:]}
	m := signed(t, s, simpleMessage, 10)
	if !strings.Contains(m, "d=xn--bcher-kva.example;") {
		t.Error(m)
	}
	record, _ := Record(s.Keys[0].Key.Public())
	v := &Verifier{Resolver: zone{"e._domainkey.xn--bcher-kva.example": {record}}}
	if r := verify(v, m, 10); statuses(r) != "pass" {
		t.Errorf("%+v", r)
	}
	utf8 := strings.Replace(m, "d=xn--bcher-kva.example;", "d=Bücher.example;", 1)
	if r := verify(v, utf8, 10); r[0].Domain != "xn--bcher-kva.example" || r[0].Reason != reasonSignature {
		t.Errorf("%+v", r)
	}
}
