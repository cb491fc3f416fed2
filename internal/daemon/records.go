package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const (
	// recordsFirst is when the DNS is looked at after a start, by which time what was changed with it should be known, and
	// recordsAgain how often from then on.
	recordsFirst, recordsAgain = 10 * time.Minute, 12 * time.Hour
	// recordsTime is how long the look at one domain may take, and recordsAll that at all of them.
	recordsTime, recordsAll = 2 * time.Minute, time.Hour
)

// dnsRecords is what the DNS had when it was looked at last, as "postrider dns check" sees it.
type dnsRecords struct {
	mu      sync.Mutex
	reports []*zone.Report
	at      time.Time
}

// last are the reports of the last look, and when it was; the zero time: nobody has looked.
func (r *dnsRecords) last() ([]*zone.Report, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reports, r.at
}

// faults is how many were found that somebody has to do something about, by the type of the record.
func (r *dnsRecords) faults() (map[string]int, time.Time) {
	reports, at := r.last()
	n := make(map[string]int)
	for _, one := range reports {
		for _, f := range one.Faults() {
			if f.State != zone.Unknown { // that servers of the DNS do not answer is told elsewhere
				n[f.Type]++
			}
		}
	}
	return n, at
}

// runRecords looks at the DNS now and then, until ctx ends. Where nothing shows what is found, or nobody elsewhere looks for this
// host, it does not.
func (d *Daemon) runRecords(ctx context.Context) {
	next := time.NewTimer(recordsFirst)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if s := d.state().settings; s.Web.Listen != "" && s.ServerName != "" && !s.OnlyHere() {
			d.lookAtRecords(ctx, s)
		}
		next.Reset(recordsAgain)
	}
}

func (d *Daemon) lookAtRecords(ctx context.Context, s *conf.Settings) {
	servers, err := resolvers(s.Queue.DNSServers)
	if err != nil {
		return // the settings have been checked
	}
	ctx, cancel := context.WithTimeout(ctx, recordsAll)
	defer cancel()
	checker := &zone.Checker{Resolver: servers[0], Trusted: s.Queue.DNSSECTrusted}
	var found []*zone.Report
	for _, name := range CheckedDomains(s) {
		p, err := Plan(s, name.String(), Keys{d.keys.Keys(), s})
		if err != nil {
			continue // the log says elsewhere that keys cannot be read
		}
		one, done := context.WithTimeout(ctx, recordsTime)
		report := checker.Check(one, p)
		done()
		if ctx.Err() != nil {
			return // half of what it says is that nobody could be asked
		}
		found = append(found, report)
	}
	d.records.mu.Lock()
	defer d.records.mu.Unlock()
	d.records.reports, d.records.at = found, time.Now()
}

// CheckedDomains are those whose records are looked at: mail to server_name itself needs its host's records only,
// which all others have.
func CheckedDomains(s *conf.Settings) []domains.Name {
	ours := slices.Clone(s.Book().Domains())
	if len(ours) < 2 {
		return ours
	}
	return slices.DeleteFunc(ours, func(d domains.Name) bool { return d == domains.Canonical(s.ServerName) && s.Domains[d.String()] == nil })
}
