package admin

import (
	"strings"
	"testing"
)

// TestReports: what is wrong stands first, and a page stays small however much there is and whoever wrote it.
func TestReports(t *testing.T) {
	s := &server{word: "plain.test", entries: 5}
	do := visit(t, s.all())
	_, page := do("GET", "/admin/reports", nil)
	for _, want := range []string{"Something is wrong", "Sends as you and fails", "TLS to your hosts failed", "9223372036854775807 messages", "Cannot be read"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	if strings.Index(page, "Sends as you") > strings.Index(page, "<h2>Passes") {
		t.Error("what passes stands first")
	}
	if _, page := do("GET", "/admin/reports?days=0", nil); !strings.Contains(page, "a number from 1 to 366") {
		t.Error(page)
	}
	if _, page := do("GET", "/admin/reports/refused", nil); !strings.Contains(page, "a signature of plain.test that does not hold") {
		t.Error(page)
	}
	s.word, s.entries = strings.Repeat(`"<&'`, 50), 2000
	for _, path := range []string{"/admin/reports?days=366", "/admin/reports/refused?days=366"} {
		if _, page := do("GET", path, nil); len(page) > 60_000 || !strings.Contains(page, "<tr>") {
			t.Errorf("%s: %d octets", path, len(page))
		}
	}
}
