package trace

import (
	"testing"
	"time"
)

// TestMoment: times as an operator writes them.
func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 3, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"12:00": "2026-11-29 12:00:00", "12:04": "2026-11-28 12:04:00", "12:02:01": "2026-11-29 12:02:01", "2h": "2026-11-29 10:03:00",
		"2026-11-28": "2026-11-28 00:00:00", "2026-11-28 07:08": "2026-11-28 07:08:00", "2026-11-28 07:08:09": "2026-11-28 07:08:09",
		"2026-11-28T07:08:09+01:00": "2026-11-28 06:08:09",
	} {
		if got, err := Moment(text, now); err != nil || got.UTC().Format(time.DateTime) != want {
			t.Errorf("%s is %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"noon", "25:00", "2026-13-01", "12"} {
		if got, err := Moment(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
