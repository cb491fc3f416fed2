package house_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the texts for readers, by their slash-separated path from the
// module's root, test data aside.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	texts := make(map[string]string)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		if d.IsDir() {
			if d.Name() == "testdata" || rel != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".md") {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			texts[filepath.ToSlash(rel)] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`") // what looks like a link in there is none
)

// links are the targets of a page's relative links, from the module's root.
func links(page, text string) []string {
	var targets []string
	for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text, "``"), -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target != "" && !strings.Contains(target, ":") {
			targets = append(targets, filepath.ToSlash(filepath.Join(filepath.Dir(page), target)))
		}
	}
	return targets
}

// TestLinks: no page leads to one that is not there.
func TestLinks(t *testing.T) {
	for page, text := range pages(t) {
		for _, target := range links(page, text) {
			if _, err := os.Stat(filepath.Join("..", "..", target)); err != nil {
				t.Errorf("%s leads to %s: %v", page, target, err)
			}
		}
	}
}

// TestReadmes: whatever has a page of its own is found from the first one, by
// way of a link there to the page or to its folder.
func TestReadmes(t *testing.T) {
	all := pages(t)
	linked := make(map[string]bool)
	for _, target := range links("README.md", all["README.md"]) {
		linked[target] = true
	}
	for page := range all {
		if page != "README.md" && !linked[page] && !linked[strings.TrimSuffix(page, "/README.md")] {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}

// TestNamedFiles: the Go files that a page or a package's comment names in
// passing are there.
func TestNamedFiles(t *testing.T) {
	_, files := sources(t)
	inComment := regexp.MustCompile(`\b[a-z0-9_]+\.go\b`)
	for _, f := range files {
		for _, name := range inComment.FindAllString(f.ast.Doc.Text(), -1) {
			if _, err := os.Stat(filepath.Join("..", "..", f.dir, name)); err != nil {
				t.Errorf("%s: the package comment names %s, which is not there", f.path, name)
			}
		}
	}
	named := regexp.MustCompile("`([a-z0-9_/]+\\.go)`")
	for page, text := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			found := false
			for _, f := range files {
				found = found || f.path == m[1] || strings.HasSuffix(f.path, "/"+m[1])
			}
			if !found {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
}

// exported are the names a package offers to others.
func exported(files []file) map[string]map[string]bool {
	names := make(map[string]map[string]bool)
	for _, f := range files {
		if isTest(f.path) || strings.HasPrefix(f.dir, "internal/") || strings.HasPrefix(f.dir, "cmd/") {
			continue
		}
		of := names[f.ast.Name.Name]
		if of == nil {
			of = make(map[string]bool)
			names[f.ast.Name.Name] = of
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				of[d.Name.Name] = true // methods as well: a page writes maildir.Commit
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						of[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							of[n.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

// TestNamedSymbols: what a page calls package.Name is in that package.
func TestNamedSymbols(t *testing.T) {
	_, files := sources(t)
	names := exported(files)
	symbol := regexp.MustCompile(`\b([a-z0-9]+)\.([A-Z][A-Za-z0-9]*)`)
	seen := 0
	for page, text := range pages(t) {
		for _, part := range code.FindAllString(text, -1) {
			for _, m := range symbol.FindAllStringSubmatch(part, -1) {
				of, ours := names[m[1]]
				if !ours {
					continue
				}
				if seen++; !of[m[2]] {
					t.Errorf("%s names %s, which is not there", page, m[0])
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d names: the search is broken", seen)
	}
}
