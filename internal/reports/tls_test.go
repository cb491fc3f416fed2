package reports

import (
	"fmt"
	"strings"
	"testing"
)

// TestDetailsOfOnePolicy: as many failures as there may be are told one by one, and of the next only the number.
func TestDetailsOfOnePolicy(t *testing.T) {
	for more := range 3 {
		details := strings.Repeat(`,{"result-type":"certificate-expired","failed-session-count":1}`, maxRows+more)
		doc := fmt.Sprintf(`{"report-id":"x","policies":[{"policy":{"policy-domain":"a.example"},"summary":{"total-failure-session-count":%d},"failure-details":[%s]}]}`, maxRows+more, details[1:])
		r, err := readTLS(strings.NewReader(doc), &unpacker{left: maxUnpacked})
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(more); len(r.Sessions) != maxRows || r.Further != (Further{Rows: n, Count: n, Failed: n}) {
			t.Errorf("%d: %d sessions, %+v", maxRows+more, len(r.Sessions), r.Further)
		}
	}
}
