package rfc2822

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// corpus returns all sample messages by name.
func corpus(t testing.TB) map[string]string {
	t.Helper()
	root := filepath.Join("..", "testdata", "messages")
	out := map[string]string{}
	for _, pattern := range []string{"*.eml", "cpython/*.txt", "enmime/*.raw", "ruby-mail/*.eml"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("no messages %s: %v", pattern, err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(root, name)
			out[rel] = string(b)
		}
	}
	return out
}

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "messages", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// onlyReader hides everything of a reader but Read.
type onlyReader struct{ io.Reader }

func stream(s string) io.Reader { return onlyReader{strings.NewReader(s)} }

// octets is what a message is written as, or "" if it cannot be.
func octets(m *Message) string {
	var b strings.Builder
	if _, err := m.WriteTo(&b); err != nil {
		return ""
	}
	return b.String()
}

// fieldsOf is the fields of a message as they stand, without the empty line.
func fieldsOf(m *Message) string { return strings.TrimSuffix(m.Header.String(), m.Header.sep) }

func kinds(defects []Defect) string {
	var out []string
	for _, d := range defects {
		out = append(out, d.Kind.String())
	}
	return strings.Join(out, "; ")
}

func mustField(t testing.TB, name, value string) Field {
	t.Helper()
	f, err := NewField(name, value)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// allocated is how many octets fn takes from the heap, whatever it gives back.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
