package house_test

import (
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// outside is a module of somebody else's that uses this one.
type outside struct {
	t   *testing.T
	dir string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	m := &outside{t: t, dir: t.TempDir()}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		m.write(name, strings.Replace(string(text), "module "+module+"\n",
			"module example.test/outside\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+root+"\n", 1))
	}
	return m
}

func (m *outside) write(name, text string) {
	m.t.Helper()
	name = filepath.Join(m.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// run runs the go command in the module, without a network.
func (m *outside) run(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "go", args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("go %s in a module of its own: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestExamplesOutside: every example and every program that a page shows
// compiles for somebody who copies it into another module.
func TestExamplesOutside(t *testing.T) {
	m := newOutside(t)
	root := filepath.Join("..", "..")
	_, files := sources(t)
	examples := 0
	for _, f := range files {
		if n := countExamples(f.ast); n > 0 && !strings.HasPrefix(f.dir, "internal/") {
			text, err := os.ReadFile(filepath.Join(root, f.path))
			if err != nil {
				t.Fatal(err)
			}
			m.write(f.path, string(text)) // those of one package help each other
			examples += n
		}
	}
	program := regexp.MustCompile("(?s)```go\n(package main\n.*?)```")
	programs := 0
	for _, text := range pages(t) {
		for _, found := range program.FindAllStringSubmatch(text, -1) {
			m.write(fmt.Sprintf("program%d/main.go", programs), found[1])
			programs++
		}
	}
	if examples < 40 || programs < 5 {
		t.Errorf("%d examples, %d programs: the search is broken", examples, programs)
	}
	// Compiled, not linked and not run: that is done where they stand.
	m.run("list", "-test", "-export", "-f", "", "./...")
}

func countExamples(f *ast.File) (n int) {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example") {
			n++
		}
	}
	return n
}
