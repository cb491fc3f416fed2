package reports

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestLimited: an attachment of as much as it may have is whole, one octet more is refused.
func TestLimited(t *testing.T) {
	for size, ok := range map[int]bool{99: true, 100: true, 101: false} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(strings.Repeat("x", size)), "bit by bit": iotest.OneByteReader(strings.NewReader(strings.Repeat("x", size)))} {
			got, err := io.ReadAll(&limited{r: r, left: 100})
			if ok != (err == nil) || ok && len(got) != size {
				t.Errorf("%d octets of 100, %s: %d, %v", size, name, len(got), err)
			}
		}
	}
}
