package zone

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp/resolver"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// State is how a record is found to be.
type State string

// The states. Only OK and Note are no faults.
const (
	OK        State = "ok"
	Note      State = "note" // nothing is wrong, but worth knowing
	Missing   State = "missing"
	Differs   State = "differs"
	Doubled   State = "doubled"
	TooLong   State = "too long"
	Dangerous State = "dangerous"
	Unknown   State = "unknown" // nobody could be asked
)

// Finding is one thing that a check has found.
type Finding struct {
	Name  string `json:"name"` // of the record, without a dot at its end
	Type  string `json:"type"`
	State State  `json:"state"`
	Text  string `json:"text"` // in a sentence
}

// Fault reports whether something has to be done.
func (f Finding) Fault() bool { return f.State != OK && f.State != Note }

// Report is what a check has found about one domain.
type Report struct {
	Domain   string    `json:"domain"`
	Findings []Finding `json:"findings"`
	Bill     []Charge  `json:"spf"`     // what the SPF record costs, by term
	Sending  []Sending `json:"sending"` // whether mail from each of our addresses would pass
}

// Charge is what one term of the SPF record costs those who evaluate it.
type Charge struct {
	Depth   int    `json:"depth"`
	Term    string `json:"term"`
	Domain  string `json:"domain"` // in whose record it stands
	Lookups int    `json:"lookups"`
	Voids   int    `json:"voids"`
}

// Sending is what others make of mail from one of our addresses.
type Sending struct {
	Address netip.Addr `json:"address"`
	From    string     `json:"from"` // the domain of the sender, or the name given in EHLO where the sender is null
	SPF     string     `json:"spf"`
	By      string     `json:"by"` // the term that decides
}

// Faults are the findings that something has to be done about.
func (r *Report) Faults() (all []Finding) {
	for _, f := range r.Findings {
		if f.Fault() {
			all = append(all, f)
		}
	}
	return all
}

// Checker looks at what the DNS has, and at what others see who follow it.
type Checker struct {
	// Resolver is asked for everything that is not in our zones: "127.0.0.1:53".
	Resolver string
	// Trusted: the resolver validates, and nobody can change its answers on the way
	// here, so that mail going out goes by them.
	Trusted bool
	// Roots are the authorities that certificates are verified with; nil for those
	// of the system.
	Roots *x509.CertPool
	// Dialled is a host elsewhere, with its port, that it is tried to reach, since many
	// providers close port 25; empty for none.
	Dialled string
}

// checking is one check of one plan.
type checking struct {
	*Checker
	*asker
	ctx      context.Context
	plan     *Plan
	report   *Report
	lookup   *resolver.Resolver
	zones    map[string]bool   // whose servers have been looked at
	insecure map[string]string // why answers of a zone are not validated, in words; "" where they are
	bogus    bool              // a zone's signatures are wrong, and the resolver has nothing of it
}

// Check looks at the records of a plan, one after the other. What cannot be asked is
// a finding; there is no error.
func (c *Checker) Check(ctx context.Context, p *Plan) *Report {
	k := c.begin(ctx, p)
	k.host()
	k.exchangers()
	k.senders()
	k.keys()
	k.dmarc()
	k.sts()
	k.tlsReports()
	k.tlsa()
	k.issuers()
	k.services()
	k.programs()
	k.outward()
	return k.report
}

// CheckPolicy looks at the domain's MTA-STS policy only: whether others find and fetch it, and can deliver by it.
func (c *Checker) CheckPolicy(ctx context.Context, p *Plan) *Report {
	k := c.begin(ctx, p)
	k.sts()
	return k.report
}

func (c *Checker) begin(ctx context.Context, p *Plan) *checking {
	k := &checking{Checker: c, asker: newAsker(c.Resolver), ctx: ctx, plan: p, report: &Report{Domain: p.Domain}, zones: make(map[string]bool), insecure: make(map[string]string)}
	k.lookup = c.Lookup()
	for _, name := range slices.Compact([]string{p.Domain, p.Host}) {
		k.zone(name)
	}
	return k
}

// say adds a finding.
func (k *checking) say(name string, kind uint16, state State, format string, args ...any) {
	k.sayOf(name, dns.TypeToString[kind], state, format, args...)
}

// sayOf adds a finding about something that is no record.
func (k *checking) sayOf(name, what string, state State, format string, args ...any) {
	f := Finding{Name: trim(name), Type: what, State: state, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(k.report.Findings, f) {
		k.report.Findings = append(k.report.Findings, f)
	}
}

// see looks at a name, and says what is wrong with the way there. It reports whether
// there is an answer.
func (k *checking) see(name string, kind uint16) (*view, bool) {
	v := k.asker.look(k.ctx, name, kind)
	if len(v.leads) > 0 && v.zone.err == nil {
		k.zone(trim(v.zone.name)) // that of somebody else counts as well
	}
	for _, fault := range v.faults {
		state := Dangerous
		if v.nobody {
			state = Unknown
		}
		k.say(name, kind, state, "%s", fault)
	}
	if len(v.leads) > 0 && !v.exists && !v.nobody {
		k.say(name, kind, Missing, "the CNAME leads to %s, which is not there", trim(v.name))
	}
	ok := !v.nobody && len(v.faults) == 0
	if ok && !k.bogus {
		k.remembered(v, kind)
	}
	return v, ok
}

// remembered says that the resolver, and so perhaps others, has not heard yet of what
// the zone's own servers have.
func (k *checking) remembered(v *view, kind uint16) {
	m, err := k.recurse(k.ctx, v.name, kind)
	if err != nil || m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return
	}
	old := atName(m, v.name, kind)
	if values(old) == values(v.records) {
		return
	}
	var left uint32
	for _, rr := range slices.Concat(old, m.Ns) {
		left = max(left, rr.Header().Ttl)
	}
	k.say(v.name, kind, Note, "the resolver %s remembers an older answer, %s, for %v more; so may others, and what follows from it is true for them", k.Resolver, orNone(values(old)), time.Duration(left)*time.Second)
}

// texts are the texts of a view, each with its strings joined.
func (v *view) texts() (all []string) {
	for _, rr := range v.records {
		if t, ok := rr.(*dns.TXT); ok {
			all = append(all, text(t))
		}
	}
	return all
}

// ofKind are the texts of one kind among them.
func (v *view) ofKind(kind string) (all []string) {
	for _, t := range v.texts() {
		if kindOf(t) == kind {
			all = append(all, t)
		}
	}
	return all
}

// single returns the one text of a kind at a name, and says so if there is none or
// more than one of it. needed: it is a fault if there is none.
func (k *checking) single(name, kind, want string, needed bool) (value string, ok bool) {
	v, ok := k.see(name, dns.TypeTXT)
	if !ok {
		return "", false
	}
	found := v.ofKind(kind)
	switch {
	case v.wild:
		k.say(name, dns.TypeTXT, Missing, "a wildcard answers for it with %s, and %s itself is not there", quoted(v.texts()), trim(name))
		return "", false
	case len(found) > 1:
		k.say(name, dns.TypeTXT, Doubled, "there are %d %s records, and others go by none of them: %s", len(found), kind, quoted(found))
		return "", false
	case len(found) == 1:
		return found[0], true
	case len(v.leads) > 0 && !v.exists:
		return "", false // said already
	case needed:
		k.say(name, dns.TypeTXT, Missing, "there is no %s record; it should be %q", kind, want)
	}
	return "", false
}

func quoted(texts []string) string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = fmt.Sprintf("%q", t)
	}
	return strings.Join(all, " and ")
}

// spfChecker evaluates records as a stranger does.
func (k *checking) spfChecker() *spf.Checker {
	return &spf.Checker{Resolver: k.lookup, Receiver: k.plan.Host}
}
