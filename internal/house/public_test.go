package house_test

import (
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPublicTypes: what a package offers to others names no type they cannot
// name: neither one of an internal package nor what leads to one, by an alias,
// a field, a method, an embedding or a constraint.
func TestPublicTypes(t *testing.T) {
	compiled := exports(t, filepath.Join("..", ".."))
	var ours []string
	for path := range compiled {
		inside := strings.HasPrefix(path, module+"/") && !strings.Contains(path, "/internal/") && !strings.HasPrefix(path, module+"/cmd/")
		if inside {
			ours = append(ours, path)
		}
	}
	if len(ours) < 15 {
		t.Fatalf("only %d packages: %q", len(ours), ours)
	}
	slices.Sort(ours)
	for _, problem := range internalTypes(t, compiled, ours) {
		t.Error(problem)
	}
}

// TestPublicTypesAreSeen: the walk finds an internal type wherever it hides.
func TestPublicTypesAreSeen(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module example.test/seen\n\ngo 1.26\n",
		"internal/in/a.go": "package in\n\ntype T struct{}\n\nfunc (T) M() {}\n\ntype I interface{ M() }\n",
		"p/p.go": `package p

import "example.test/seen/internal/in"

func Parameter(func(map[string][]*in.T)) {}

func Result() (int, chan in.T) { return 0, nil }

type Alias = in.T

type chain = Alias

type Chained = chain

type Field struct{ X [3]in.T }

type Embeds struct{ in.T }

type hidden struct{ Y in.T }

func ByHidden() hidden { return hidden{} }

type Method struct{}

func (*Method) Do(in.T) {}

type Interface interface{ Do(in.T) }

type Extends interface{ in.I }

type Bound[E in.I] struct{}

type Args struct{ B Bound[in.T] }

// Nothing is left of where its methods come from.
type Defined in.I

var Variable in.T

type Fine struct{ unseen in.T }

func (f Fine) Do() { f.do(f.unseen) }

func (Fine) do(in.T) {}
`} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found := internalTypes(t, exports(t, dir), []string{"example.test/seen/p"})
	for _, name := range []string{"Parameter", "Result", "Alias", "Chained", "Field", "Embeds", "ByHidden", "Method", "Interface", "Extends", "Bound", "Args", "Variable", "Defined", "Fine"} {
		seen := slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, "example.test/seen/p."+name+" ") })
		if seen != (name != "Fine" && name != "Defined") {
			t.Errorf("%s: found %v", name, seen)
		}
	}
}

// exports has every package compiled that the module in dir is made of, and
// returns the files with what each offers, by import path.
func exports(t *testing.T, dir string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./...")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return files
}

// internalTypes says which exported names of the packages lead to an internal
// type.
func internalTypes(t *testing.T, compiled map[string]string, paths []string) []string {
	t.Helper()
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(compiled[path])
	})
	var found []string
	for _, path := range paths {
		pkg, err := imp.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pkg.Scope().Names() {
			if !token.IsExported(name) {
				continue
			}
			w := &walk{pkg: pkg, seen: make(map[types.Type]bool)}
			w.object(pkg.Scope().Lookup(name))
			for _, in := range w.internal {
				found = append(found, path+"."+name+" names "+in)
			}
		}
	}
	return found
}

// walk follows what an importer of pkg can see.
type walk struct {
	pkg      *types.Package
	seen     map[types.Type]bool
	internal []string
}

func (w *walk) object(o types.Object) { w.visit(o.Type()) }

func (w *walk) visit(typ types.Type) {
	if typ == nil || w.seen[typ] {
		return
	}
	w.seen[typ] = true
	switch typ := typ.(type) {
	case *types.Alias:
		if w.own(typ.Obj()) {
			w.visit(typ.Rhs())
		}
		w.args(typ.TypeArgs())
	case *types.Named:
		if w.own(typ.Obj()) {
			w.named(typ)
		}
		w.args(typ.TypeArgs())
	case *types.TypeParam:
		w.visit(typ.Constraint())
	case *types.Signature:
		w.tuple(typ.Params())
		w.tuple(typ.Results())
		w.params(typ.TypeParams())
	case *types.Struct:
		for f := range typ.Fields() {
			if f.Exported() || f.Embedded() {
				w.visit(f.Type())
			}
		}
	case *types.Interface:
		for m := range typ.ExplicitMethods() {
			if m.Exported() {
				w.visit(m.Type())
			}
		}
		for e := range typ.EmbeddedTypes() {
			w.visit(e)
		}
	case *types.Union:
		for term := range typ.Terms() {
			w.visit(term.Type())
		}
	case *types.Map:
		w.visit(typ.Key())
		w.visit(typ.Elem())
	case interface{ Elem() types.Type }:
		w.visit(typ.Elem())
	}
}

// own reports whether a name is the package's, so that it is followed; other
// public packages answer for themselves. An internal one is noted.
func (w *walk) own(name *types.TypeName) bool {
	if name.Pkg() == nil {
		return false
	}
	path := name.Pkg().Path()
	standard := !strings.Contains(strings.Split(path, "/")[0], ".")
	if !standard && strings.Contains(path+"/", "/internal/") {
		w.internal = append(w.internal, path+"."+name.Name())
	}
	return name.Pkg() == w.pkg
}

func (w *walk) named(typ *types.Named) {
	w.visit(typ.Underlying())
	w.params(typ.TypeParams())
	for m := range typ.Methods() {
		if m.Exported() {
			w.visit(m.Type())
		}
	}
}

func (w *walk) tuple(vars *types.Tuple) {
	for v := range vars.Variables() {
		w.visit(v.Type())
	}
}

func (w *walk) params(list *types.TypeParamList) {
	for p := range list.TypeParams() {
		w.visit(p)
	}
}

func (w *walk) args(list *types.TypeList) {
	for a := range list.Types() {
		w.visit(a)
	}
}
