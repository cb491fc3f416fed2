package daemon

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/published"
)

// TestRecords: the metrics say when the DNS was looked at, and servers that do not answer are no fault of a record.
func TestRecords(t *testing.T) {
	w := start(t, withAdmin(t, `"Queue": {"dns_servers": ["127.0.0.1:1"]},`))
	if _, text := w.http("/metrics"); !strings.Contains(text, "postrider_dns_check_timestamp_seconds 0\n") || !strings.Contains(text, `postrider_dns_check_ok{record="MX"} 1`) {
		t.Fatal(text)
	}
	w.lookAtRecords(t.Context())
	if len(w.zones.found) != len(published.Planned(w.state().settings)) {
		t.Error(w.zones.found)
	}
	for name, c := range w.zones.found {
		if len(c.report.Faults()) == 0 {
			t.Errorf("%s: nothing is said of what could not be asked", name)
		}
	}
	if _, text := w.http("/metrics"); strings.Contains(text, "postrider_dns_check_timestamp_seconds 0\n") || !strings.Contains(text, `postrider_dns_check_ok{record="MX"} 1`) {
		t.Error(text)
	}
}
