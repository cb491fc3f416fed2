package house_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// alone says what comes along with a package that others import by itself,
// besides the standard library: import paths, or beginnings of them.
var alone = map[string][]string{
	"rfc2822":            {module + "/parsers/domains", "golang.org/x/text/", "golang.org/x/net/idna"},
	"rfc2822/gomessage":  {module + "/rfc2822", module + "/parsers/domains", "github.com/emersion/go-message", "github.com/emersion/go-message/", "golang.org/x/text/", "golang.org/x/net/idna"},
	"parsers/textual":    {},
	"parsers/domains":    {"golang.org/x/text/", "golang.org/x/net/idna"},
	"parsers/config":     {"github.com/tidwall/jsonc"},
	"smtp/spf":           {module + "/parsers/domains", "golang.org/x/text/", "golang.org/x/net/idna"},
	"smtp/dmarc":         {module + "/rfc2822", module + "/parsers/domains", "golang.org/x/text/", "golang.org/x/net/idna"},
	"cipher/certs":       {module + "/cipher/internal/"},
	"cipher/seal":        {module + "/cipher/internal/", "golang.org/x/crypto/", "golang.org/x/sys/cpu"},
	"cipher/sasl":        {module + "/cipher/certs", module + "/cipher/internal/", "golang.org/x/text/", "github.com/xdg-go/stringprep"},
	"cipher/passwd":      {module + "/cipher/sasl", module + "/cipher/certs", module + "/cipher/internal/", "golang.org/x/crypto/", "golang.org/x/sys/cpu", "golang.org/x/text/", "github.com/xdg-go/stringprep"},
	"cipher/sealedmail":  {module + "/cipher/seal", module + "/cipher/internal/", "golang.org/x/crypto/", "golang.org/x/sys/", "filippo.io/", "github.com/sethvargo/go-diceware/"},
	"cipher/acme":        {module + "/cipher/certs", module + "/parsers/domains", module + "/cipher/internal/", "golang.org/x/crypto/", "golang.org/x/net/", "golang.org/x/text/"},
	"parsers/lineserver": {},
	"smtp/dnslist":       {},
	"smtp/resolver":      {"github.com/miekg/dns", "golang.org/x/net/", "golang.org/x/sys/"},
}

// TestAlone builds a module of its own that imports one package of ours, and
// looks at what is in it.
func TestAlone(t *testing.T) {
	for pkg, along := range alone {
		m := newOutside(t)
		m.write("main.go", "package main\n\nimport _ \""+module+"/"+pkg+"\"\n\nfunc main() {}\n")
		m.run("build", "-o", filepath.Join(m.dir, "alone"), ".")
		for _, path := range strings.Fields(m.run("list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")) {
			own := path == "example.test/outside" || path == module+"/"+pkg
			if !own && !slices.ContainsFunc(along, func(s string) bool { return path == s || strings.HasSuffix(s, "/") && strings.HasPrefix(path, s) }) {
				t.Errorf("with %s comes %s", pkg, path)
			}
		}
	}
}
