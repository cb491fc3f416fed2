package desk

import (
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// reportPages is what the pages see of the reports of other hosts. Nothing is read again as long as none has come
// or gone.
type reportPages struct {
	*Desk

	mu      sync.Mutex
	days    int
	domain  string
	hour    time.Time // that the days were counted from
	version int64     // of what is kept
	summary *reports.Summary
	byDay   []reports.Day
}

// Taken implements admin.Reports.
func (p *reportPages) Taken() bool { return p.TakesReports() }

// Last implements admin.Reports.
func (p *reportPages) Last(days int, domain string) (*reports.Summary, []reports.Day, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if domain != "" {
		domain = domains.Canonical(domain).String()
	}
	version, hour := p.Desk.Reports.Version(), time.Now().Truncate(time.Hour)
	if p.summary != nil && p.days == days && p.domain == domain && p.hour.Equal(hour) && p.version == version {
		return p.summary, p.byDay, nil
	}
	s := p.Now().Settings
	all, err := reports.ReadAll(reports.Dir(s.DataDir), hour.AddDate(0, 0, -days))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil && len(all) == 0 {
		return nil, nil, err
	}
	q := reports.Query{Domain: domain, Own: s.SendsFrom()}
	p.summary, p.byDay = reports.Summarize(all, q), reports.Days(all, q, hour, days)
	p.days, p.domain, p.hour, p.version = days, domain, hour, version
	return p.summary, p.byDay, nil
}
