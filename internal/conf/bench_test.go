package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manyAccounts writes a configuration with n accounts and as many aliases.
func manyAccounts(tb testing.TB, n int) string {
	var b strings.Builder
	b.WriteString(`{"server_name": "mail.example.com", "data_dir": "data", "Domains": {"example.com": {"Accounts": {` + "\n")
	for i := range n {
		fmt.Fprintf(&b, "\"user%d\": {\"password\": %q, \"quota\": \"1GB\"},\n", i, hashA)
	}
	b.WriteString("}, \"Aliases\": {\n")
	for i := range n {
		fmt.Fprintf(&b, "\"alias%d\": [\"user%d\", \"user%d+detail\"],\n", i, i, (i+1)%n)
	}
	b.WriteString("}}}}\n")
	name := filepath.Join(tb.TempDir(), "a.conf")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

// BenchmarkLoad reads a configuration with 10,000 accounts and aliases.
func BenchmarkLoad(b *testing.B) {
	name := manyAccounts(b, 10000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(name); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheck checks a configuration with 10,000 accounts and aliases.
func BenchmarkCheck(b *testing.B) {
	s, err := Load(manyAccounts(b, 10000))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if problems := s.Check(); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
