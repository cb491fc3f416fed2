package house_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// alone says what comes along with a package that others import by itself,
// besides the standard library: import paths, or beginnings of them.
var alone = map[string][]string{
	"rfc2822":           {"golang.org/x/text/", "golang.org/x/net/idna"},
	"parsers/textual":   {},
	"parsers/config":    {"github.com/tidwall/jsonc"},
	"cipher/certs":      {module + "/cipher/internal/"},
	"cipher/seal":       {module + "/cipher/internal/", "golang.org/x/crypto/", "golang.org/x/sys/cpu"},
	"cipher/sasl":       {module + "/cipher/certs", module + "/cipher/internal/", "golang.org/x/text/", "github.com/xdg-go/stringprep"},
	"cipher/passwd":     {module + "/cipher/sasl", module + "/cipher/certs", module + "/cipher/internal/", "golang.org/x/crypto/", "golang.org/x/sys/cpu", "golang.org/x/text/", "github.com/xdg-go/stringprep"},
	"cipher/sealedmail": {module + "/cipher/seal", module + "/cipher/internal/", "golang.org/x/crypto/", "golang.org/x/sys/cpu", "filippo.io/"},
	"cipher/acme":       {module + "/cipher/certs", module + "/cipher/internal/", "golang.org/x/crypto/", "golang.org/x/net/", "golang.org/x/text/"},
}

// TestAlone builds a module of its own that imports one package of ours, and
// looks at what is in it.
func TestAlone(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	mod := strings.Replace(string(theirs), "module "+module+"\n", "module example.test/alone\n", 1) +
		"\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + root + "\n"
	for pkg, along := range alone {
		dir := t.TempDir()
		for name, text := range map[string]string{"go.mod": mod, "go.sum": string(sums), "main.go": "package main\n\nimport _ \"" + module + "/" + pkg + "\"\n\nfunc main() {}\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run := func(args ...string) string {
			cmd := exec.CommandContext(t.Context(), "go", args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s by itself: %v\n%s", pkg, err, out)
			}
			return string(out)
		}
		run("build", "-o", filepath.Join(dir, "alone"), ".")
		for _, path := range strings.Fields(run("list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")) {
			own := path == "example.test/alone" || path == module+"/"+pkg
			if !own && !slices.ContainsFunc(along, func(s string) bool { return path == s || strings.HasSuffix(s, "/") && strings.HasPrefix(path, s) }) {
				t.Errorf("with %s comes %s", pkg, path)
			}
		}
	}
}
