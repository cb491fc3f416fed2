package house_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmePrograms: the first program of a README compiles, and runs where it
// needs no world around it.
func TestReadmePrograms(t *testing.T) {
	for folder, want := range map[string]string{
		"cipher/passwd":     "argon2id",
		"cipher/seal":       "seal: cannot open",
		"cipher/certs":      "true 771",
		"cipher/sasl":       "tim b913a602c7eda7a495b4e6e7334d3890",
		"cipher/sealedmail": "For your eyes only.",
		"cipher/acme":       "", // wants port 80
		"smtp/dkim":         "pass example.com mail 2048",
		"smtp/resolver":     "", // wants a DNS
		"smtp/spf":          "none spf: not a domain name",
		"smtp/dmarc":        "permerror none",
		"parsers/rules":     "reject mail.rules:1:1 No, thank you",
	} {
		readme, err := os.ReadFile(filepath.Join("..", "..", folder, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		_, program, ok1 := strings.Cut(string(readme), "```go\n")
		program, _, ok2 := strings.Cut(program, "```")
		if !ok1 || !ok2 {
			t.Fatalf("%s: no program in README.md", folder)
		}
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
		command := []string{"run", file}
		if want == "" {
			command = []string{"vet", file}
		}
		out, err := exec.CommandContext(t.Context(), "go", command...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s/README.md: %v: %s", folder, err, out)
		}
	}
}

// TestNamedModules: a module that a page names is one of those in go.mod.
func TestNamedModules(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var required []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) v\d`).FindAllStringSubmatch(string(mod), -1) {
		required = append(required, m[1])
	}
	if len(required) < 5 {
		t.Fatalf("go.mod requires %v: the search is broken", required)
	}
	named := regexp.MustCompile("`((?:golang\\.org/x|filippo\\.io|github\\.com|gopkg\\.in)/[^`\\s]+)`")
	seen := 0
	for page, text := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(m[1]+"/", module+"/") {
				continue
			}
			seen++
			found := false
			for _, r := range required {
				found = found || strings.HasPrefix(m[1]+"/", r+"/")
			}
			if !found {
				t.Errorf("%s names %s, which go.mod does not require", page, m[1])
			}
		}
	}
	if seen < 5 {
		t.Errorf("%d modules named: the search is broken", seen)
	}
}

// TestNoHashes: whoever imports a protocol server by itself brings no password
// hash and no cipher of files along.
func TestNoHashes(t *testing.T) {
	for _, pkg := range []string{"smtp", "pop3"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"/"+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range strings.Fields(string(out)) {
			for _, heavy := range []string{"argon2", "bcrypt", "blowfish", "chacha20poly1305"} {
				// The standard library has a copy of chacha20poly1305 for TLS.
				if strings.HasPrefix(dep, "golang.org/x/crypto/") && strings.HasSuffix(dep, "/"+heavy) {
					t.Errorf("with %s comes %s", pkg, dep)
				}
			}
		}
	}
}
