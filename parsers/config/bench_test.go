package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// accounts is the text of a configuration with n accounts.
func accounts(n int) string {
	var b strings.Builder
	b.WriteString("{\n    # everybody\n    \"Accounts\": {\n")
	for i := range n {
		fmt.Fprintf(&b, "        \"user%d@example.com\": \"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA\", // \"#\"\n", i)
	}
	b.WriteString("    },\n}\n")
	return b.String()
}

type book struct{ Accounts map[string]string }

func BenchmarkParse(b *testing.B) {
	text := accounts(1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var v book
		if err := Parse(text, &v); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncodingJSON is the same by Standardize and encoding/json, for
// comparison: it knows no places and no repeated keys.
func BenchmarkEncodingJSON(b *testing.B) {
	text := []byte(accounts(1000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var v book
		plain, err := Standardize(text)
		if err == nil {
			err = json.Unmarshal(plain, &v)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	text := []byte(accounts(1000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Set(text, "x", "Accounts", "new@example.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOrigins(b *testing.B) {
	s, err := new(Decoder).Read(strings.NewReader(accounts(1000)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Origins()
	}
}
