package rfc2822

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestStandsAlone: whoever imports this package gets charsets and IDNA with it, the
// one form of a domain, and nothing else that is not in the standard library.
func TestStandsAlone(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("go list: %v", err)
	}
	for _, path := range strings.Fields(string(out)) {
		ok := strings.HasSuffix(path, "/rfc2822") || strings.HasSuffix(path, "/parsers/domains") || strings.HasPrefix(path, "golang.org/x/text/") || path == "golang.org/x/net/idna"
		if !ok {
			t.Errorf("%s comes along", path)
		}
	}
}
