package relay

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// TLSReports counts TLSResults and, once a day, tells the domains that ask to
// hear of them (RFC 8460). Its Add is made for Relay.Report. What was counted
// is lost with the process unless Cache is set.
type TLSReports struct {
	// Organization and Contact (an address) are who reports; Hostname is our
	// host, in the reports' ids.
	Organization, Contact, Hostname string
	Resolver                        Resolver
	// HTTP posts reports to domains that want them so; a client with a
	// time-out of 30 seconds where nil.
	HTTP *http.Client
	// Send sends a message from Contact. RFC 8460 §3 wants it signed with
	// DKIM, which is its business. Domains that want mail hear nothing where
	// it is nil.
	Send func(ctx context.Context, to string, message []byte) error
	// Cache keeps the counts over restarts.
	Cache Cache

	mu   sync.Mutex
	days map[string]map[string]*tlsDomain // by day, by domain
}

// The bounds of what is counted: strangers choose the domains and the causes.
const (
	maxRptDomains = 10000
	maxRptDetails = 100
)

type tlsDomain struct {
	Policies []*tlsPolicy `json:"policies"`
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

const dayForm = "2006-01-02"

// Add counts one result, under the day it came (in UTC).
func (t *TLSReports) Add(r TLSResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.domain(time.Now().UTC().Format(dayForm), r.Domain)
	if d == nil {
		return
	}
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

// domain returns what is counted for a domain on a day; nil if that would be
// too many. t.mu is held.
func (t *TLSReports) domain(day, domain string) *tlsDomain {
	if t.days == nil {
		t.days = make(map[string]map[string]*tlsDomain)
	}
	all := t.days[day]
	if all == nil {
		all = make(map[string]*tlsDomain)
		if t.Cache != nil {
			if data, ok := t.Cache.Get("tlsrpt", day); ok {
				_ = json.Unmarshal(data, &all) // what cannot be read is counted anew
			}
		}
		t.days[day] = all
	}
	d := all[domain]
	if d == nil && len(all) < maxRptDomains {
		d = &tlsDomain{}
		all[domain] = d
	}
	return d
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

// Save puts the counts of today into the Cache.
func (t *TLSReports) Save(ctx context.Context) error {
	if t.Cache == nil {
		return nil
	}
	day := time.Now().UTC().Format(dayForm)
	t.mu.Lock()
	data, err := json.Marshal(t.days[day])
	t.mu.Unlock()
	if err != nil || string(data) == "null" {
		return err
	}
	return t.Cache.Put(ctx, "tlsrpt", day, data)
}

// Run saves the counts every five minutes, and some time after each midnight
// sends the reports of the day before, until ctx ends.
func (t *TLSReports) Run(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Minute)
	defer tick.Stop()
	today := time.Now().UTC().Format(dayForm)
	for {
		select {
		case <-ctx.Done():
			return t.Save(context.WithoutCancel(ctx))
		case now := <-tick.C:
			err := t.Save(ctx)
			if day := now.UTC().Format(dayForm); day != today {
				err = errors.Join(err, t.SendDay(ctx, today))
				today = day
			}
			if err != nil && ctx.Err() == nil {
				continue // the next tick tries to save again; reports are sent once
			}
		}
	}
}
