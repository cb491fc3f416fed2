package house_test

import (
	"go/ast"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestExtensionsHaveOnePlace: what is to happen where the next hop lacks an extension
// stands in its row in smtp/extensions.go. Whoever queues and relays mail asks by
// Client.Missing and names none, so that one more extension is not theirs to learn.
// STARTTLS and AUTH are no wishes of a message, but the relay's policy.
func TestExtensionsHaveOnePlace(t *testing.T) {
	fset, files := sources(t)
	var keywords []string
	for _, f := range files {
		if f.path == "smtp/extensions.go" {
			ast.Inspect(f.ast, func(n ast.Node) bool {
				kv, ok := n.(*ast.KeyValueExpr)
				if !ok {
					return true
				}
				key, _ := kv.Key.(*ast.Ident)
				value, _ := kv.Value.(*ast.BasicLit)
				if key != nil && value != nil && key.Name == "keyword" {
					keyword, _ := strconv.Unquote(value.Value)
					keywords = append(keywords, keyword)
				}
				return true
			})
		}
	}
	for _, known := range []string{"SIZE", "8BITMIME", "SMTPUTF8", "BINARYMIME", "DSN", "REQUIRETLS", "FUTURERELEASE", "DELIVERBY", "MT-PRIORITY", "RRVS"} {
		if !slices.Contains(keywords, known) {
			t.Fatalf("the table has no row for %s, as far as this test sees: %q", known, keywords)
		}
	}
	named := regexp.MustCompile(`\b(` + strings.Join(keywords, "|") + `)\b`)
	for _, f := range files {
		if isTest(f.path) || f.dir != "smtp/queue" && f.dir != "smtp/queue/relay" && f.dir != "internal/post" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if ok && lit.Kind.String() == "STRING" {
				if word := named.FindString(lit.Value); word != "" && word != "STARTTLS" && word != "AUTH" {
					t.Errorf("%s names %s: its row in smtp/extensions.go has to say it", fset.Position(lit.Pos()), word)
				}
			}
			return true
		})
	}
}
