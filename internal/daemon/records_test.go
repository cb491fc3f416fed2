package daemon

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/internal/published"
)

// TestRecords: the metrics say when the DNS was looked at, and servers that do not answer are no fault of a record.
func TestRecords(t *testing.T) {
	w := start(t, withAdmin(t, `"Queue": {"dns_servers": ["127.0.0.1:1"]},`))
	if _, text := w.http("/metrics"); !strings.Contains(text, "postrider_dns_check_timestamp_seconds 0\n") || !strings.Contains(text, `postrider_dns_check_ok{record="MX"} 1`) {
		t.Fatal(text)
	}
	w.lookAtRecords(t.Context())
	looked := 0
	zones, _ := w.desk.Zones().Zones(admin.Slice{Limit: 100})
	for _, z := range zones {
		if !z.At.IsZero() {
			looked++
		}
		if z.Faults == 0 && !z.At.IsZero() {
			t.Errorf("%s: nothing is said of what could not be asked", z.Domain)
		}
	}
	if looked != len(published.Planned(w.state().settings)) {
		t.Errorf("%+v", zones)
	}
	if _, text := w.http("/metrics"); strings.Contains(text, "postrider_dns_check_timestamp_seconds 0\n") || !strings.Contains(text, `postrider_dns_check_ok{record="MX"} 1`) {
		t.Error(text)
	}
}
