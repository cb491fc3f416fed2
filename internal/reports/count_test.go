package reports

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestIsName: a domain stands in a header and in a file's name if it is of these letters, and short enough.
func TestIsName(t *testing.T) {
	mailtest.Octets(t, "name", "ab", isName, func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._", c) >= 0
	})
	mailtest.Edge(t, "name", 253, func(n int) bool { return isName(strings.Repeat("z", n)) })
	if isName("") {
		t.Error("nothing is a name")
	}
}
