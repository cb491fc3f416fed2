package reports

import (
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Day is what reports say of one day in UTC. What may be forged is left out.
type Day struct {
	Passed, Failed         int64 // messages in the name of domains here
	Sessions, FailedToOurs int64 // TLS to hosts of ours that went well, and that failed
}

// Days counts by day, for the n days that end with now, the oldest first. A report belongs to the day that it ends on, as
// far as it tells.
func Days(all []*Report, q Query, now time.Time, n int) []Day {
	days := make([]Day, n)
	today := now.UTC().Truncate(24 * time.Hour)
	about := func(domain string) bool { return q.Domain == "" || domains.Within(domain, q.Domain) }
	for _, r := range all {
		// A day's report often ends with the first moment of the next.
		end := later(time.Time{}, r).Add(-time.Second).UTC().Truncate(24 * time.Hour)
		i := n - 1 - int(today.Sub(end)/(24*time.Hour))
		if i < 0 || i >= n || r.Trust == Untrusted || r.Kind == Unreadable {
			continue
		}
		d := &days[i]
		for _, row := range r.Rows {
			from := row.From
			if from == "" {
				from = r.Domain
			}
			switch {
			case !about(from):
			case row.Passes():
				d.Passed = plus(d.Passed, row.Count)
			default:
				d.Failed = plus(d.Failed, row.Count)
			}
		}
		for _, s := range r.Sessions {
			switch {
			case !about(s.Domain):
			case s.Failure == "":
				d.Sessions = plus(d.Sessions, s.Count)
			default:
				d.FailedToOurs = plus(d.FailedToOurs, s.Count)
			}
		}
	}
	return days
}
