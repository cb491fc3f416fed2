package mailstore_test

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
)

// TestIsFolder: what can be the name of a folder in every store, octet by octet and at its bounds.
func TestIsFolder(t *testing.T) {
	for name, want := range map[string]bool{"": false, "a": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, ".": false, "..": false, "Sent-2026_b": true, "Grün": false} {
		if mailstore.IsFolder(name) != want {
			t.Errorf("%.20q: %v", name, !want)
		}
	}
	for c := range 256 {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
		for _, name := range []string{string([]byte{byte(c)}), "a" + string([]byte{byte(c)}) + "b", "a" + string([]byte{byte(c)})} {
			if mailstore.IsFolder(name) != plain {
				t.Errorf("%q: %v", name, !plain)
			}
		}
	}
}

// TestCleanFlags: each letter once and in order, and nothing else.
func TestCleanFlags(t *testing.T) {
	for letters, want := range map[string]string{"": "", "TSRPFD": "DFPRST", "SSxS2,a": "S", "fs": "", "\x00F\xff": "F"} {
		if got := mailstore.CleanFlags(letters); got != want {
			t.Errorf("%q: %q", letters, got)
		}
	}
}
