package daemon

import (
	"strings"
	"testing"
	"time"
)

// TestRecords: the metrics say when the DNS was looked at, and servers that do not answer are no fault of a record.
func TestRecords(t *testing.T) {
	w := start(t, withAdmin(t, `"Queue": {"dns_servers": ["127.0.0.1:1"]},`))
	if _, text := w.http("/metrics"); !strings.Contains(text, "postrider_dns_check_timestamp_seconds 0\n") || !strings.Contains(text, `postrider_dns_check_ok{record="MX"} 1`) {
		t.Fatal(text)
	}
	w.lookAtRecords(t.Context(), w.state().settings)
	reports, at := w.records.last()
	if len(reports) == 0 || time.Since(at) > time.Hour {
		t.Fatal(reports, at)
	}
	for _, r := range reports {
		if len(r.Faults()) == 0 {
			t.Errorf("%s: nothing is said of what could not be asked", r.Domain)
		}
	}
	if _, text := w.http("/metrics"); strings.Contains(text, "postrider_dns_check_timestamp_seconds 0\n") || !strings.Contains(text, `postrider_dns_check_ok{record="MX"} 1`) {
		t.Error(text)
	}
}
