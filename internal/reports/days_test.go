package reports

import (
	"math"
	"testing"
	"time"
)

// TestDays: each day has what reports say of it, of one domain or all, and nothing that may be forged.
func TestDays(t *testing.T) {
	now := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	midnight := now.Truncate(24 * time.Hour)
	report := func(end time.Time, trust Trust) *Report {
		return &Report{Kind: DMARC, Received: now, End: end, Trust: trust, Domain: "a.test", Rows: []Row{
			{Count: 3, DKIM: "pass"}, {Count: 2, DKIM: "fail", From: "sub.a.test"}, {Count: 5, From: "b.test"}},
			Sessions: []Session{{Domain: "a.test", Count: 7}, {Domain: "a.test", Count: 1, Failure: "certificate-expired"}}}
	}
	all := []*Report{report(midnight, Trusted), report(midnight.Add(-time.Hour), Unchecked), report(midnight, Untrusted), report(midnight.AddDate(0, 0, -40), Trusted),
		report(now.AddDate(1, 0, 0), Trusted), {Kind: Unreadable, Received: now}}
	want := []Day{{}, {Passed: 6, Failed: 4, Sessions: 14, FailedToOurs: 2}, {Passed: 3, Failed: 2, Sessions: 7, FailedToOurs: 1}}
	for i, got := range Days(all, Query{Domain: "a.test"}, now, 3) {
		if got != want[i] {
			t.Errorf("day %d: %+v, not %+v", i, got, want[i])
		}
	}
	if got := Days(all, Query{}, now, 3); got[2].Failed != 7 {
		t.Errorf("%+v", got)
	}
	all[0].Rows[0].Count, all[1].Rows[0].Count = math.MaxInt64, math.MaxInt64
	if got := Days(all, Query{}, now, 3); got[1].Passed != math.MaxInt64 {
		t.Errorf("%+v", got)
	}
}
