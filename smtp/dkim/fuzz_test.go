package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzBody compares the canonical forms with what the RFC's words give when they are done to a whole body
// one after the other, whatever the pieces.
func FuzzBody(f *testing.F) {
	for _, m := range awkward() {
		if _, body := parted(m); len(body) < 1000 {
			f.Add([]byte(body), uint16(3))
		}
	}
	f.Add([]byte("a\r\n \r\r\n\r\r\n\t\n \n\r\n\r"), uint16(1))
	f.Add(bytes.Repeat([]byte("a b  c\t\r\n"), 250), uint16(2047))
	f.Fuzz(func(t *testing.T, octets []byte, piece uint16) {
		for _, relaxed := range []bool{false, true} {
			want := canonicalBody(string(octets), relaxed)
			b := newBody(relaxed)
			all, first := b.sum(-1), b.sum(5)
			write(b, string(octets), max(1, int(piece)))
			b.end()
			whole, part := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(want[:min(5, len(want))]))
			if !all.is(whole[:]) || b.total != int64(len(want)) {
				t.Errorf("relaxed %v, pieces of %d: %q is not %q of %d octets", relaxed, piece, octets, want, b.total)
			}
			if !first.is(part[:]) {
				t.Errorf("relaxed %v, pieces of %d: the first octets of %q differ", relaxed, piece, octets)
			}
		}
	})
}

var (
	blankRun  = regexp.MustCompile(`[ \t]+`)
	beforeEnd = regexp.MustCompile(`[ \t]+(\r\n|\z)`)
)

// canonicalBody is RFC 6376 §3.4.3 and §3.4.4, word by word.
func canonicalBody(s string, relaxed bool) string {
	if relaxed {
		s = beforeEnd.ReplaceAllString(s, "$1")
		s = blankRun.ReplaceAllString(s, " ")
	}
	for strings.HasSuffix(s, "\r\n") {
		s = strings.TrimSuffix(s, "\r\n")
	}
	if s == "" && relaxed {
		return ""
	}
	return s + "\r\n"
}

// TestIsPlain compares it with a look at each octet.
func TestIsPlain(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "\x00\x08\x09\x0a\x0b\x0c\x0d\x0e\x1f\x20\x21\x7f\x80\x89\x8d\xa0\xffabcdefghijk"
	seen := 0
	for range 200_000 {
		var p [9]byte
		for i := range p {
			p[i] = letters[random.IntN(len(letters))]
		}
		want := true
		for i, c := range p[:8] {
			want = want && c != '\t' && c != '\r' && !(c == ' ' && held(p[i+1]))
		}
		if got := isPlain(binary.LittleEndian.Uint64(p[:]), p[8]); got != want {
			t.Fatalf("%q: %v", p, got)
		}
		if want {
			seen++
		}
	}
	if seen < 10_000 {
		t.Errorf("only %d were plain", seen)
	}
}

// FuzzVerify: no message does harm, and what is said of it can be printed.
func FuzzVerify(f *testing.F) {
	names, err := filepath.Glob("testdata/edge/*.eml")
	if err != nil || len(names) < 60 {
		f.Fatal(len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	z := readZone(f, "testdata/edge/zone.json")
	v := &Verifier{Resolver: z}
	reasons := allReasons(f)
	f.Fuzz(func(t *testing.T, message string) {
		results := verify(v, message, 1<<20)
		if again := verify(v, message, 7); !slices.Equal(results, again) {
			t.Errorf("%+v, and in pieces %+v", results, again)
		}
		header, _ := parted(message)
		r := v.Verify(context.Background(), header)
		open := len(r.Promising())
		passed := 0
		for _, x := range results {
			if x.Status == Pass || x.Status == Policy && x.Reason == reasonPartOfBody {
				passed++
			}
			if !reasons[x.Reason] || (x.Reason == "") != (x.Status == Pass) || !slices.Contains([]Status{Pass, Fail, Policy, Neutral, TempError, PermError}, x.Status) {
				t.Errorf("%+v", x)
			}
			for _, s := range []string{x.Domain, x.Selector, x.Algorithm, x.Signature} {
				if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+/=") != "" {
					t.Errorf("%+v", x)
				}
			}
			if strings.ContainsFunc(x.Identity, func(r rune) bool { return r < ' ' || r == 0x7f }) || x.Identity != "" && !strings.HasSuffix(x.Identity, x.Domain) {
				t.Errorf("%q", x.Identity)
			}
		}
		if passed > open || len(results) > 8 {
			t.Errorf("%d of %d results passed, %d were promising", passed, len(results), open)
		}
	})
}

// FuzzKey: a record is either a key or has a fatal fault.
func FuzzKey(f *testing.F) {
	for _, texts := range readZone(f, "testdata/edge/zone.json") {
		f.Add(texts[0])
	}
	f.Add(`"v=DKIM1\; k=rsa\; p=MIIB" "IjAN"`)
	f.Fuzz(func(t *testing.T, record string) {
		key, err := ParseKey(record)
		good := err == nil && key.Public != nil
		if good {
			good = key.fits(&signature{algorithm: key.Type + "-sha256", identity: "@a", domain: "a"}).reason == ""
		}
		faults := CheckRecords([]string{record}, nil)
		hasFatal(t, record, faults, !good)
		for _, fault := range faults {
			if fault.At < -1 || fault.At > len(record) || strings.ContainsFunc(fault.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%+v", fault)
			}
		}
		if good {
			again, err := Record(key.Public)
			if err != nil {
				t.Fatal(err)
			}
			if f := CheckRecords([]string{again}, key.Public); f != nil {
				t.Errorf("%q: %+v", again, f)
			}
		}
	})
}

// FuzzSign: what is signed passes, and nobody adds a From field to it.
func FuzzSign(f *testing.F) {
	for _, m := range awkward() {
		f.Add(m, uint16(3))
	}
	s := &Signer{Domain: "example.com", Keys: testKeys()[1:]}
	v := &Verifier{Resolver: published(f, s)}
	f.Fuzz(func(t *testing.T, message string, piece uint16) {
		header, body := parted(message)
		g, err := s.Sign(header)
		if err != nil {
			return
		}
		write(g, body, max(1, int(piece)))
		fields, err := g.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(header, " ") || strings.HasPrefix(header, "\t") {
			return // whoever puts a field on top sees to it that nothing continues it
		}
		end := "\r\n"
		if strings.HasSuffix(header, "\n") {
			end = ""
		}
		r := v.Verify(context.Background(), fields[0]+header)
		write(r, body, 1000)
		if got := r.Results(); len(got) == 0 || got[0].Status != Pass {
			t.Errorf("%+v of %q", got, fields[0]+message)
		}
		r = v.Verify(context.Background(), fields[0]+header+end+"From: eve@example.org\r\n")
		write(r, body, 1000)
		if got := r.Results(); len(got) == 0 || got[0].Status == Pass && !strings.Contains(header, "\r\n\r\n") && strings.TrimSpace(header) != "" && !emptyLine(header) {
			t.Errorf("with another From: %+v of %q", got, fields[0]+message)
		}
	})
}

// emptyLine reports whether a header ends before its end.
func emptyLine(header string) bool {
	for line := range strings.Lines(header) {
		if strings.Trim(line, "\r\n") == "" {
			return true
		}
	}
	return false
}
