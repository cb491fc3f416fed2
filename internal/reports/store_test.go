package reports

import (
	"strings"
	"testing"
)

// TestParseName: what is no name of a report is none, whichever part of it is wrong.
func TestParseName(t *testing.T) {
	key := strings.Repeat("0", keyLength)
	if at, class, got, ok := parseName("20261129T101112Z-t-" + key + ".json"); !ok || class != "t" || got != key || at.IsZero() {
		t.Errorf("%v %q %q %v", at, class, got, ok)
	}
	for _, name := range []string{"", ".json", "README", "20261129T101112Z-t-" + key, "20261129T101112Z-t-" + key + ".json.tmp", "20261129T101112Z-t-" + key[1:] + ".json", "20261129T101112Z-t-" + key + "0.json",
		"20261129T101112Z-z-" + key + ".json", "20261129T101112Z--" + key + ".json", "2026-t-" + key + ".json", "20261129T101112Z-t-x-" + key + ".json"} {
		if _, _, _, ok := parseName(name); ok {
			t.Errorf("%q is a name", name)
		}
	}
}
