// Package house_test tests the rules of the house on the source itself: who may
// import whom, what must be documented, what must not appear.
package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/postrider-mail/postrider"

// mayImport says which packages of ours a package may import, tests aside. A
// package that is not named here fails the test: its place in the house has to
// be decided, not found.
var mayImport = map[string][]string{
	"parsers/lineserver":           {},
	"parsers/textual":              {},
	"parsers/config":               {},
	"parsers/domains":              {},
	"parsers/rules":                {"parsers/config", "parsers/domains"},
	"cipher/internal/private":      {},
	"cipher/certs":                 {"cipher/internal/private"},
	"cipher/seal":                  {"cipher/internal/private"},
	"cipher/sasl":                  {"cipher/certs"},
	"cipher/passwd":                {"cipher/sasl"},
	"cipher/acme":                  {"cipher/certs", "parsers/domains"},
	"cipher/sealedmail":            {"cipher/seal"},
	"rfc2822":                      {"parsers/domains"},
	"rfc2822/gomessage":            {"rfc2822"},
	"mailstore/durable":            {"internal/sys"},
	"internal/crashtest":           {"mailstore/durable"},
	"internal/measure":             {},
	"mailstore":                    {},
	"mailstore/storetest":          {"mailstore"},
	"mailstore/archive":            {"mailstore", "internal/sys"},
	"mailstore/maildir":            {"mailstore", "mailstore/durable", "internal/dirents", "internal/sys"},
	"mailstore/database":           {"mailstore/durable"},
	"mailstore/postgres":           {"mailstore", "mailstore/database"},
	"mailstore/s3":                 {},
	"mailstore/sealed":             {"mailstore", "cipher/sealedmail"},
	"smtp":                         {"parsers/domains", "parsers/textual", "cipher/certs", "cipher/sasl", "parsers/lineserver"},
	"smtp/dkim":                    {"parsers/domains"},
	"pop3":                         {"parsers/textual", "cipher/certs", "cipher/sasl", "parsers/lineserver"},
	"smtp/spf":                     {"parsers/domains"},
	"smtp/dmarc":                   {"parsers/domains", "rfc2822"},
	"smtp/resolver":                {},
	"smtp/dnslist":                 {},
	"smtp/queue":                   {"smtp", "smtp/resolver", "parsers/domains", "parsers/textual", "rfc2822", "mailstore/durable", "internal/dirents", "internal/sys", "cipher/certs", "cipher/sasl", "internal/daily"},
	"smtp/queue/postgres":          {"mailstore/database", "smtp/queue", "smtp/queue/spool"},
	"smtp/queue/sealed":            {"cipher/seal", "smtp/queue"},
	"internal/daily":               {},
	"internal/conf":                {"internal/accounts/ldap", "internal/sys", "mailstore", "parsers/config", "parsers/domains", "parsers/rules", "cipher/passwd", "smtp/dnslist"},
	"internal/control":             {"internal/sys"},
	"internal/change":              {"internal/conf", "internal/sys", "mailstore/durable", "parsers/config"},
	"internal/greylist":            {"internal/cluster", "mailstore/durable"},
	"internal/cluster":             {"internal/sys", "mailstore/durable"},
	"internal/cluster/postgres":    {"cipher/seal", "internal/cluster", "mailstore/database"},
	"internal/cluster/clustertest": {"internal/cluster"},
	"internal/quarantine":          {"mailstore", "parsers/domains", "rfc2822"},
	"internal/dirents":             {},
	"internal/sys":                 {},
	"internal/fetch":               {"internal/sys", "mailstore", "mailstore/archive", "pop3", "rfc2822"},
	"internal/faulty":              {"parsers/lineserver", "cipher/certs"},
	"smtp/smtptest":                {"smtp", "internal/faulty"},
	"pop3/pop3test":                {"pop3", "cipher/sasl", "internal/faulty"},
	"internal/service":             {},
	// Directories and providers of others, each a question and its answer; they know no settings.
	"internal/accounts/ldap":       {},
	"internal/accounts/openid":     {},
	"internal/accounts/passwdfile": {"cipher/passwd", "parsers/domains"},
	"internal/accounts":            {"internal/accounts/ldap", "internal/accounts/openid", "internal/accounts/passwdfile", "internal/conf", "internal/preferences", "internal/cluster", "parsers/domains", "parsers/lineserver", "cipher/passwd", "cipher/sasl", "cipher/seal", "smtp"},
	"internal/mailkeys":            {"cipher/sealedmail", "cipher/sasl"},
	"internal/preferences":         {"internal/cluster", "mailstore/durable", "parsers/domains"},
	"internal/logs":                {"internal/conf", "parsers/lineserver"},
	"internal/post": {"internal/accounts", "internal/control", "internal/preferences", "internal/quarantine", "internal/cluster", "parsers/lineserver", "mailstore", "mailstore/durable",
		"parsers/domains", "parsers/textual", "rfc2822", "smtp", "smtp/queue", "smtp/queue/relay", "smtp/queue/sealed", "smtp/queue/spool"},
	"internal/sign": {"internal/post", "internal/cluster", "parsers/domains", "rfc2822", "smtp", "smtp/dkim", "smtp/resolver"},
	// It evaluates what the DNS has as strangers do, with their means.
	"internal/zone":   {"internal/sys", "parsers/domains", "smtp", "smtp/dkim", "smtp/dmarc", "smtp/queue/relay", "smtp/resolver", "smtp/spf"},
	"internal/scan":   {"internal/milter", "internal/post", "internal/verify", "parsers/domains", "parsers/lineserver", "rfc2822", "smtp"},
	"internal/milter": {"internal/sys"},
	"internal/filter": {"internal/greylist", "internal/post", "internal/verify", "parsers/domains", "parsers/lineserver", "parsers/rules", "rfc2822", "smtp", "smtp/dkim", "smtp/dnslist"},
	"internal/verify": {"internal/greylist", "internal/post", "parsers/domains", "parsers/lineserver", "rfc2822", "smtp", "smtp/dkim", "smtp/dmarc", "smtp/dnslist", "smtp/spf"},
	// It counts what the values of others say, and asks none of them anything.
	"internal/web": {"cipher/sasl", "mailstore/durable", "internal/pages", "internal/post", "internal/reports", "internal/scan", "internal/verify", "parsers/domains", "parsers/lineserver", "parsers/rules", "pop3", "smtp", "smtp/queue", "smtp/resolver"},
	// Their areas ask the server by narrow interfaces, and see the queue's own values.
	// A mail server for tests shares the engines and the looks, and nothing of the daemon.
	"internal/sink":        {"cipher/sasl", "internal/sys", "mailstore", "mailstore/durable", "parsers/config", "parsers/domains", "parsers/lineserver", "parsers/rules", "pop3", "rfc2822", "smtp", "smtp/dkim", "smtp/dmarc", "smtp/spf"},
	"internal/sink/web":    {"internal/pages", "internal/sink", "rfc2822"},
	"internal/sink/catch":  {"cipher/certs", "internal/sink", "internal/sink/web", "parsers/rules", "pop3", "smtp", "smtp/resolver"},
	"internal/pages":       {},
	"internal/pages/admin": {"internal/pages", "internal/quarantine", "internal/reports", "internal/trace", "smtp/queue"},
	"internal/pages/user":  {"internal/pages", "parsers/domains"},
	"internal/desk": {"cipher/passwd", "cipher/seal", "internal/accounts", "internal/change", "internal/conf", "internal/control", "internal/mailkeys", "internal/pages", "internal/pages/admin",
		"internal/post", "internal/preferences", "internal/published", "internal/quarantine", "internal/reports", "internal/sign", "internal/trace", "internal/zone", "mailstore", "parsers/config", "parsers/domains", "smtp", "smtp/queue"},
	"internal/selfservice": {"cipher/sasl", "cipher/sealedmail", "internal/accounts", "internal/conf", "internal/control", "internal/mailkeys", "internal/pages", "internal/pages/user", "internal/post",
		"internal/preferences", "internal/published", "internal/quarantine", "internal/web", "mailstore", "parsers/domains", "rfc2822", "smtp"},
	"internal/published": {"cipher/acme", "cipher/certs", "internal/conf", "internal/post", "internal/sign", "internal/web", "internal/cluster", "internal/zone", "parsers/domains", "smtp/resolver"},
	"internal/daemon":    {"*"},
	"internal/trace":     {"parsers/domains"},
	"internal/reports":   {"internal/daily", "mailstore", "mailstore/durable", "parsers/domains", "rfc2822"},
	"internal/mailtest":  {"mailstore"},
	"internal/manpage":   {},
	"internal/packaging": {},
	"internal/peertest":  {},
	"cmd/postrider":      {"*"},
}

type file struct {
	path string // slash-separated, from the module's root
	dir  string
	ast  *ast.File
}

func sources(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if d.Name() == "testdata" || rel != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && rel != "." {
				return fs.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file{rel, strings.TrimSuffix(rel, "/"+d.Name()), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fset, files
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

func TestImports(t *testing.T) {
	_, files := sources(t)
	for _, f := range files {
		if isTest(f.path) {
			continue
		}
		allowed, known := lookup(f.dir)
		if !known {
			t.Errorf("%s: package %s has no place in the import rules", f.path, f.dir)
			continue
		}
		for _, spec := range f.ast.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			ours, ok := strings.CutPrefix(path, module+"/")
			if ok && ours != f.dir && !slices.Contains(allowed, "*") && !slices.Contains(allowed, ours) && !strings.HasPrefix(ours, f.dir+"/internal/") {
				t.Errorf("%s: %s may not import %s", f.path, f.dir, ours)
			}
			if strings.HasPrefix(path, "github.com/prometheus/") && f.dir != "internal/web" {
				t.Errorf("%s: metrics are the business of internal/web", f.path)
			}
			if path == "C" {
				t.Errorf("%s: cgo", f.path)
			}
		}
	}
}

// lookup finds the rules of a package; a package below another one of ours,
// such as a suite of tests, follows the one above and may import it.
func lookup(dir string) ([]string, bool) {
	if allowed, ok := mayImport[dir]; ok {
		return allowed, true
	}
	i := strings.LastIndex(dir, "/")
	if i < 0 {
		return nil, false
	}
	above, ok := mayImport[dir[:i]]
	return append([]string{dir[:i]}, above...), ok
}

// TestNoInit: no package does work, or lets the process end, behind its
// importer's back.
func TestNoInit(t *testing.T) {
	fset, files := sources(t)
	for _, f := range files {
		if isTest(f.path) {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init function", fset.Position(fn.Pos()))
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := pkg.Name + "." + sel.Sel.Name
			if name == "os.Exit" && !(f.ast.Name.Name == "main" && strings.HasSuffix(f.path, "/main.go")) || strings.HasPrefix(name, "log.Fatal") {
				t.Errorf("%s: %s: only main may end the process", fset.Position(call.Pos()), name)
			}
			return true
		})
	}
}

func TestDocumented(t *testing.T) {
	fset, files := sources(t)
	packageDoc := map[string]bool{}
	for _, f := range files {
		if isTest(f.path) {
			continue
		}
		packageDoc[f.dir] = packageDoc[f.dir] || f.ast.Doc != nil
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !wellKnown(d) {
					t.Errorf("%s: %s is not documented", fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					undocumented(t, fset, d, s)
				}
			}
		}
	}
	for dir, ok := range packageDoc {
		if !ok {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

func undocumented(t *testing.T, fset *token.FileSet, d *ast.GenDecl, s ast.Spec) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
			t.Errorf("%s: %s is not documented", fset.Position(s.Pos()), s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				t.Errorf("%s: %s is not documented", fset.Position(s.Pos()), name.Name)
			}
		}
	}
}

// wellKnown methods say everything with their name.
func wellKnown(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"Error", "Unwrap", "String", "Len", "Less", "Swap", "Push", "Pop", "Is", "Timeout", "Temporary"}, d.Name.Name)
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

// TestTopLevel: the house has these rooms and no others.
func TestTopLevel(t *testing.T) {
	rooms := []string{"go.mod", "go.sum", "README.md", "LICENSE", "CHANGELOG.md", "cmd", "smtp", "pop3", "parsers", "cipher", "rfc2822", "mailstore", "conf", "testdata", "internal", "docs", ".ci", ".git", ".gitignore"}
	ignored := []string{"postrider", "postrider-data"} // what .gitignore names
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(rooms, e.Name()) && !slices.Contains(ignored, e.Name()) {
			t.Errorf("%s does not belong on the top level", e.Name())
		}
	}
}

// TestBudgets: a file that has outgrown its neighbours has a second idea in it.
func TestBudgets(t *testing.T) {
	const fileLines, funcLines = 600, 100
	fset, files := sources(t)
	for _, f := range files {
		if isTest(f.path) {
			continue
		}
		if n := fset.Position(f.ast.End()).Line; n > fileLines {
			t.Errorf("%s has %d lines, more than %d: which idea should move out?", f.path, n, fileLines)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line; n > funcLines {
				t.Errorf("%s: %s has %d lines, more than %d", fset.Position(fn.Pos()), fn.Name.Name, n, funcLines)
			}
		}
	}
}
