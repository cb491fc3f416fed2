package cipher_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/postrider-mail/postrider/"

// What each package brings along, the standard library aside. Whoever imports
// cipher for TLS takes no age and no HTTP.
func TestWhatComesAlong(t *testing.T) {
	cipherDeps := []string{"golang.org/x/crypto/", "golang.org/x/sys/cpu", "golang.org/x/text/", "github.com/xdg-go/stringprep"}
	for pkg, allowed := range map[string][]string{
		"cipher":            cipherDeps,
		"cipher/sasl":       append([]string{module + "cipher"}, cipherDeps...),
		"cipher/sealedmail": append([]string{module + "cipher", "filippo.io/"}, cipherDeps...),
		"cipher/acme":       append([]string{module + "cipher", "golang.org/x/net/"}, cipherDeps...),
	} {
		out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range strings.Fields(string(out)) {
			ok := dep == module+pkg
			for _, prefix := range allowed {
				ok = ok || strings.HasPrefix(dep, prefix)
			}
			if !ok {
				t.Errorf("%s brings %s", pkg, dep)
			}
		}
	}
	out, err := exec.Command("go", "list", "-deps", module+"cipher/sasl").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, heavy := range []string{"net/http", "filippo.io/age", "golang.org/x/crypto/acme"} {
		if strings.Contains("\n"+string(out), "\n"+heavy+"\n") {
			t.Errorf("cipher/sasl brings %s", heavy)
		}
	}
}

// The first program of each README compiles, and runs where it needs no world
// around it.
func TestReadmes(t *testing.T) {
	for folder, want := range map[string]string{
		".":          "argon2id",
		"sasl":       "tim b913a602c7eda7a495b4e6e7334d3890",
		"sealedmail": "For your eyes only.",
		"acme":       "", // wants port 80
	} {
		readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		_, program, ok1 := strings.Cut(string(readme), "```go\n")
		program, _, ok2 := strings.Cut(program, "```")
		if !ok1 || !ok2 {
			t.Fatalf("%s: no program in README.md", folder)
		}
		file := filepath.Join(t.TempDir(), "main.go")
		os.WriteFile(file, []byte(program), 0o600)
		command := []string{"run", file}
		if want == "" {
			command = []string{"vet", file}
		}
		out, err := exec.Command("go", command...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s/README.md: %v: %s", folder, err, out)
		}
	}
}
