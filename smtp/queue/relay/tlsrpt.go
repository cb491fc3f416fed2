package relay

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/daily"
)

// TLSReports counts TLSResults and, once a day, tells the domains that ask to
// hear of them (RFC 8460). Its Add is made for Relay.Report. With a Cache a
// restart loses minutes at most, and a day that has passed meanwhile is
// reported after it.
type TLSReports struct {
	// Organization and Contact (an address) are who reports; Hostname is our
	// host, in the reports' ids; Rename changes it while reports are being sent.
	Organization, Contact, Hostname string
	// Resolver and HTTP are where domains say what they want, and how reports
	// are posted to those who want them so: a client with a time-out of 30
	// seconds where nil. Use changes them while reports are being sent.
	Resolver Resolver
	HTTP     *http.Client
	// Send sends a message from Contact. RFC 8460 §3 wants it signed with
	// DKIM, which is its business. Domains that want mail hear nothing where
	// it is nil.
	Send func(ctx context.Context, to string, message []byte) error
	// Cache keeps the counts over restarts.
	Cache Cache
	// Common, if not nil, is where several servers bring together what they have counted, so that a domain hears of it once.
	Common Common
	// Log hears of reports that cannot be sent; slog.Default where nil.
	Log *slog.Logger

	mu    sync.Mutex // guards Hostname, Resolver and HTTP
	begun sync.Once
	book  *daily.Book[tlsDomain, *tlsDomain]
}

// The bounds of what is counted: strangers choose the domains and the causes.
const (
	maxRptDomains = 10000
	maxRptDetails = 100
)

type tlsDomain struct {
	Policies []*tlsPolicy `json:"policies"`
	daily.Sent
}

// tlsPolicy is one element of "policies" in a report (RFC 8460 §4.4).
type tlsPolicy struct {
	Policy struct {
		Type   string   `json:"policy-type"`
		String []string `json:"policy-string,omitempty"`
		Domain string   `json:"policy-domain"`
		MX     []string `json:"mx-host,omitempty"`
	} `json:"policy"`
	Summary struct {
		Successful int64 `json:"total-successful-session-count"`
		Failed     int64 `json:"total-failure-session-count"`
	} `json:"summary"`
	Details []*tlsDetail `json:"failure-details,omitempty"`
}

type tlsDetail struct {
	Type     string     `json:"result-type"`
	Sending  netip.Addr `json:"sending-mta-ip,omitzero"`
	Host     string     `json:"receiving-mx-hostname,omitempty"`
	Addr     netip.Addr `json:"receiving-ip,omitzero"`
	Sessions int64      `json:"failed-session-count"`
	Reason   string     `json:"failure-reason-code,omitempty"`
}

// tlsReport is a whole report (RFC 8460 §4.4).
type tlsReport struct {
	Organization string `json:"organization-name"`
	Range        struct {
		Start time.Time `json:"start-datetime"`
		End   time.Time `json:"end-datetime"`
	} `json:"date-range"`
	Contact  string       `json:"contact-info"`
	ID       string       `json:"report-id"`
	Policies []*tlsPolicy `json:"policies"`
}

// Use has reports asked for and posted in another way from now on.
func (t *TLSReports) Use(dns Resolver, client *http.Client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Resolver, t.HTTP = dns, client
}

// Rename has reports go out under another name of our host from now on.
func (t *TLSReports) Rename(hostname string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Hostname = hostname
}

// hostname is our host's name of the moment.
func (t *TLSReports) hostname() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Hostname
}

func (t *TLSReports) ways() (Resolver, *http.Client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Resolver, t.HTTP
}

// days are the counts by day.
func (t *TLSReports) days() *daily.Book[tlsDomain, *tlsDomain] {
	t.begun.Do(func() {
		t.book = &daily.Book[tlsDomain, *tlsDomain]{
			Kind: "tlsrpt", What: "TLS results", Most: maxRptDomains, Seed: t.hostname, Send: t.send, Add: (*tlsDomain).merge, Log: func() *slog.Logger { return t.Log },
		}
		if t.Cache != nil {
			t.book.Cache = t.Cache
		}
		if t.Common != nil {
			t.book.Common = t.Common
		}
	})
	return t.book
}

// Save puts the counts that have changed into the Cache.
func (t *TLSReports) Save(ctx context.Context) error { return t.days().Save(ctx) }

// Run saves the counts every five minutes and sends the reports of each day
// after its end, those of days before the start included, until ctx ends.
func (t *TLSReports) Run(ctx context.Context) error { return t.days().Run(ctx) }

// SendDay sends the reports of a day ("2026-03-01", in UTC) to the domains that
// ask for them, and forgets it. The error joins those of single domains, whose
// reports stay for another call.
func (t *TLSReports) SendDay(ctx context.Context, name string) error {
	return t.days().SendDay(ctx, name)
}

// Add counts one result, under the day it came (in UTC).
func (t *TLSReports) Add(r TLSResult) {
	t.days().Update(r.Domain, func(d *tlsDomain) { d.add(r) })
}

func (d *tlsDomain) add(r TLSResult) {
	p := d.policy(r)
	if r.Failure == "" {
		p.Summary.Successful++
		return
	}
	p.Summary.Failed++
	for _, f := range p.Details {
		if f.Type == r.Failure && f.Host == r.Host && f.Addr == r.Addr && f.Sending == r.Local {
			f.Sessions++
			return
		}
	}
	if len(p.Details) < maxRptDetails {
		p.Details = append(p.Details, &tlsDetail{Type: r.Failure, Sending: r.Local, Host: r.Host, Addr: r.Addr, Sessions: 1, Reason: r.Detail})
	}
}

// merge adds what another server has counted.
func (d *tlsDomain) merge(more *tlsDomain) {
	for _, p := range more.Policies {
		if p == nil {
			continue
		}
		to := d.policy(TLSResult{PolicyType: p.Policy.Type, Policy: p.Policy.String, Domain: p.Policy.Domain, MX: p.Policy.MX})
		to.Summary.Successful += p.Summary.Successful
		to.Summary.Failed += p.Summary.Failed
		for _, f := range p.Details {
			to.merge(f)
		}
	}
}

// merge adds failures that another server has counted.
func (p *tlsPolicy) merge(more *tlsDetail) {
	if more == nil {
		return
	}
	for _, f := range p.Details {
		if f.Type == more.Type && f.Host == more.Host && f.Addr == more.Addr && f.Sending == more.Sending {
			f.Sessions += more.Sessions
			return
		}
	}
	if len(p.Details) < maxRptDetails {
		p.Details = append(p.Details, more)
	}
}

func (d *tlsDomain) policy(r TLSResult) *tlsPolicy {
	for _, p := range d.Policies {
		if p.Policy.Type == r.PolicyType && slices.Equal(p.Policy.String, r.Policy) {
			return p
		}
	}
	if len(d.Policies) >= maxRptDetails {
		return d.Policies[0]
	}
	p := &tlsPolicy{}
	p.Policy.Type, p.Policy.String, p.Policy.Domain, p.Policy.MX = r.PolicyType, r.Policy, r.Domain, r.MX
	d.Policies = append(d.Policies, p)
	return p
}
