package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFormat: what a later version keeps is not touched, and the error says so.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	if err := checkFormat(dir); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{"1\n": "", "2\n": "kept by a later version, in format 2, and this one knows 1", "": "no number", "x": "no number"} {
		if err := os.WriteFile(filepath.Join(dir, "format"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkFormat(dir); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
