package dkim

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// zone is a DNS with these TXT records. It counts the questions.
type zone map[string][]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	host, dot := strings.CutSuffix(name, ".")
	if !dot {
		return nil, errors.New("name without dot at its end: " + name)
	}
	texts, ok := z[host]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case texts[0] == "~~timeout":
		return nil, &net.DNSError{Err: "i/o timeout", Name: name, IsTimeout: true, IsTemporary: true}
	}
	return texts, nil
}

func readZone(t testing.TB, name string) zone {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var z zone
	if err := json.Unmarshal(text, &z); err != nil {
		t.Fatal(err)
	}
	return z
}

// parted is a message's header, without the empty line, and its body.
func parted(message string) (header, body string) {
	if i := strings.Index(message, "\r\n\r\n"); i >= 0 {
		return message[:i+2], message[i+4:]
	}
	return message, ""
}

// verify verifies a message whose body comes in pieces.
func verify(v *Verifier, message string, piece int) []Result {
	header, body := parted(message)
	r := v.Verify(context.Background(), header)
	write(r, body, piece)
	return r.Results()
}

func write(w interface{ Write([]byte) (int, error) }, body string, piece int) {
	for len(body) > 0 {
		n := min(piece, len(body))
		w.Write([]byte(body[:n]))
		body = body[n:]
	}
}

func statuses(results []Result) string {
	if len(results) == 0 {
		return "none"
	}
	var s []string
	for _, r := range results {
		s = append(s, string(r.Status))
	}
	return strings.Join(s, ",")
}

// TestEdge plays the cases of testdata/edge.
func TestEdge(t *testing.T) {
	v := &Verifier{Resolver: readZone(t, "testdata/edge/zone.json")}
	table, err := os.ReadFile("testdata/edge/expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(table)) {
		name, want, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		n++
		want, _, _ = strings.Cut(want, " (")
		message, err := os.ReadFile(filepath.Join("testdata/edge", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []int{1, 3, 7, 4096, 1 << 20} {
			results := verify(v, string(message), piece)
			if got := statuses(results); got != want {
				t.Errorf("%s in pieces of %d: %s, want %s: %+v", name, piece, got, want, results)
			}
		}
	}
	if n != 64 {
		t.Errorf("%d cases, want 64", n)
	}
}

// TestRFC8463 verifies the example of RFC 8463 appendix A.
func TestRFC8463(t *testing.T) {
	text, err := os.ReadFile("testdata/rfc8463/example.txt")
	if err != nil {
		t.Fatal(err)
	}
	z := zone{}
	records, message, _ := strings.Cut(string(text), "\n\n")
	for line := range strings.Lines(records) {
		if name, record, ok := strings.Cut(strings.TrimSpace(line), " v="); ok {
			z[name] = []string{"v=" + record}
		}
	}
	message = strings.ReplaceAll(message, "\n", "\r\n")
	results := verify(&Verifier{Resolver: z}, message, 10)
	if statuses(results) != "pass,pass" || results[0].Bits != 256 || results[1].Bits != 1024 || results[0].Algorithm != "ed25519-sha256" {
		t.Errorf("%+v", results)
	}
}
