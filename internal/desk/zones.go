package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const (
	// zoneCheckTime is how long the check of one domain may take.
	zoneCheckTime = 2 * time.Minute
	// zoneChecks is how many run at a time.
	zoneChecks = 2
	// zoneCheckWait is how long a page waits for one: most are done by then.
	zoneCheckWait = 3 * time.Second
)

// Zones say for administrators what the DNS should have, and remember what it was found to have: a check asks many
// servers of others, and takes its time.
type Zones struct {
	desk *Desk

	mu      sync.Mutex
	found   map[domains.Name]checkedZone
	running map[domains.Name]chan struct{} // closed at its end
	all     sync.WaitGroup
	ctx     context.Context
	end     context.CancelFunc
}

// checkedZone is what a check has found.
type checkedZone struct {
	at     time.Time
	report *zone.Report
}

// newZones makes them; close ends them.
func newZones(d *Desk) *Zones {
	z := &Zones{desk: d, found: make(map[domains.Name]checkedZone), running: make(map[domains.Name]chan struct{})}
	z.ctx, z.end = context.WithCancel(context.Background())
	return z
}

// close ends what is under way.
func (z *Zones) close() error {
	z.mu.Lock()
	z.end() // no other begins
	z.mu.Unlock()
	z.all.Wait()
	return nil
}

// Zones implements admin.DNS.
func (z *Zones) Zones(s admin.Slice) (rows []admin.Zone, next string) {
	names, next := part(z.desk.Now().Names.domains(), s)
	for _, name := range names {
		rows = append(rows, z.standing(name))
	}
	return rows, next
}

// standing is what is known of a zone by now.
func (z *Zones) standing(name domains.Name) admin.Zone {
	z.mu.Lock()
	defer z.mu.Unlock()
	is := admin.Zone{Domain: name.String(), Checking: z.running[name] != nil}
	if c, ok := z.found[name]; ok {
		is.At, is.Faults = c.at, len(c.report.Faults())
		for _, f := range c.report.Findings {
			is.Found = append(is.Found, admin.Found{Name: f.Name, Type: f.Type, State: string(f.State), Text: f.Text, Fault: f.Fault(), OK: f.State == zone.OK})
		}
		slices.SortStableFunc(is.Found, func(a, b admin.Found) int { return weight(a) - weight(b) })
	}
	return is
}

// weight is less for what has to be done something about.
func weight(f admin.Found) int {
	switch {
	case f.Fault:
		return 0
	case f.OK:
		return 2
	}
	return 1
}

// Zone implements admin.DNS.
func (z *Zones) Zone(domain string) (admin.Zone, error) {
	name := domains.Canonical(domain)
	p, err := z.plan(name)
	if err != nil {
		return admin.Zone{}, err
	}
	is, records := z.standing(name), p.Records()
	is.Notes = p.Notes()
	for _, r := range records {
		is.Records = append(is.Records, admin.Record{Name: zone.Name(r.RR), Type: zone.Type(r.RR), Value: zone.Value(r.RR), Purpose: r.Purpose, Need: string(r.Need), Elsewhere: r.Provider})
	}
	var file strings.Builder
	if err := zone.WriteFile(&file, p.Domain, records); err != nil {
		return admin.Zone{}, err
	}
	is.File = file.String()
	for _, k := range z.desk.Keys.Keys() {
		if k.Domain == name {
			is.Keys = append(is.Keys, admin.Key{Selector: k.Selector, Type: k.Type, State: string(k.Phase), Since: k.Since, Trouble: k.Trouble})
		}
	}
	return is, nil
}

func (z *Zones) plan(name domains.Name) (*zone.Plan, error) {
	s := z.desk.Now().Settings
	if _, ours := slices.BinarySearch(z.desk.Now().Names.domains(), name); !ours {
		return nil, pages.ErrNotFound
	}
	return published.Plan(s, name.String(), published.Keys{All: z.desk.Keys.Keys(), Settings: s})
}

// Check implements admin.DNS.
func (z *Zones) Check(ctx context.Context, domain string) error {
	done, err := z.Begin(domains.Canonical(domain))
	if err != nil {
		return err
	}
	select {
	case <-done:
	case <-time.After(zoneCheckWait):
	case <-ctx.Done():
	}
	return nil
}

// checkZone checks. What others have put into their DNS must not end the server, whatever it does to the check.
func checkZone(ctx context.Context, c *zone.Checker, p *zone.Plan) (r *zone.Report) {
	defer func() {
		if broken := recover(); broken != nil {
			r = &zone.Report{Domain: p.Domain, Findings: []zone.Finding{{Name: p.Domain, State: zone.Unknown, Text: fmt.Sprintf("the check broke off: %v", broken)}}}
		}
	}()
	return c.Check(ctx, p)
}

// Begin begins a check of a domain, unless one of it is under way; the channel is closed at its
// end. Few run at a time: the error says that others are.
func (z *Zones) Begin(name domains.Name) (done chan struct{}, err error) {
	p, err := z.plan(name)
	if err != nil {
		return nil, err
	}
	s := z.desk.Now().Settings
	servers, err := z.desk.Resolvers(s)
	if err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	switch {
	case z.running[name] != nil:
		return z.running[name], nil
	case z.ctx.Err() != nil:
		return nil, errors.New("the server is stopping")
	case len(z.running) >= zoneChecks:
		return nil, errors.New("other domains are being checked; try it again in a minute")
	}
	done = make(chan struct{})
	z.running[name] = done
	checker := &zone.Checker{Resolver: servers[0], Trusted: s.Queue.DNSSECTrusted}
	z.all.Go(func() {
		ctx, cancel := context.WithTimeout(z.ctx, zoneCheckTime)
		defer cancel()
		r := checkZone(ctx, checker, p)
		z.mu.Lock()
		defer z.mu.Unlock()
		if z.ctx.Err() == nil { // what it has found is not that it was cut short
			z.found[name] = checkedZone{time.Now(), r}
		}
		for name := range z.found { // of domains that were ours
			if _, ours := slices.BinarySearch(z.desk.Now().Names.domains(), name); !ours {
				delete(z.found, name)
			}
		}
		delete(z.running, name)
		close(done)
	})
	return done, nil
}

// Faults are how many there are that somebody has to do something about, by the type of the record, and when the last of the
// domains was looked at; the zero time: none yet.
func (z *Zones) Faults() (n map[string]int, at time.Time) {
	z.mu.Lock()
	defer z.mu.Unlock()
	n = make(map[string]int)
	for _, c := range z.found {
		for _, f := range c.report.Faults() {
			if f.State != zone.Unknown { // that servers of the DNS do not answer is told elsewhere
				n[f.Type]++
			}
		}
		if c.at.After(at) {
			at = c.at
		}
	}
	return n, at
}
