package conf

import (
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// The files whose comments are the manual, so that it cannot drift from the
// code.
//
//go:embed settings.go sections.go acme.go queue.go dns.go trust.go defence.go web.go rates.go mailrules.go imap.go elsewhere.go
var manualSource embed.FS

// readManual returns the comment of every field, by type and field:
// "SMTP.MaxHops". That of the type itself stands under "SMTP".
func readManual() (map[string]string, error) {
	manual := make(map[string]string)
	files, err := manualSource.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := file.Name()
		text, err := manualSource.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read the manual: %w", err)
		}
		for _, decl := range f.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE {
				continue
			}
			for _, spec := range d.Specs {
				collect(manual, d, spec.(*ast.TypeSpec))
			}
		}
	}
	return manual, nil
}

func collect(manual map[string]string, d *ast.GenDecl, t *ast.TypeSpec) {
	manual[t.Name.Name] = strings.TrimSpace(d.Doc.Text())
	s, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		for _, name := range f.Names {
			manual[t.Name.Name+"."+name.Name] = strings.TrimSpace(f.Doc.Text())
		}
	}
}
