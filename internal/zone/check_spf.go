package zone

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp/spf"
)

// longSPF is about how long a record may be to fit into an answer by UDP with whatever
// else the name has (RFC 7208 §3.4).
const longSPF = 450

// senders looks at the SPF records of the domain and of the names that the server
// gives in EHLO, and whether its mail passes.
func (k *checking) senders() {
	p := k.plan
	if record := k.spfRecord(p.Domain, wantedSPF(p, p.Domain)); record != nil {
		k.spfTerms(p.Domain, record)
		if k.bogus {
			return // no stranger sees any of it, which was said
		}
		k.bill(p.Domain)
		if p.Smarthost {
			k.named(record)
		} else {
			k.passes(p.Domain, "postmaster@"+p.Domain, p.senders())
		}
	}
	for _, name := range append([]string{p.Host}, p.hellos()...) {
		if name == p.Domain {
			continue
		}
		if record := k.spfRecord(name, wantedSPF(p, name)); record != nil {
			k.spfTerms(name, record)
			k.passes(name, "", slices.DeleteFunc(slices.Clone(p.senders()), func(from Sender) bool { return from.Hello != name }))
		}
	}
}

// wantedSPF is the SPF record that the plan has for a name.
func wantedSPF(p *Plan, name string) string {
	for _, r := range p.Records() {
		if t, ok := r.RR.(*dns.TXT); ok && Name(t) == name && kindOf(text(t)) == kindSPF {
			return text(t)
		}
	}
	return ""
}

// spfRecord is the record at a name, or nil after it was said why there is none.
func (k *checking) spfRecord(name, want string) *spf.Record {
	v, ok := k.see(name, dns.TypeTXT)
	if !ok {
		return nil
	}
	var good []string
	for _, t := range v.texts() {
		if spf.IsRecord(t) {
			good = append(good, t)
		}
		if why := spf.Mistaken(t); why != "" {
			k.say(name, dns.TypeTXT, Differs, "%q is meant to be an SPF record: %s", t, why)
		}
	}
	switch {
	case v.wild && len(good) > 0:
		k.say(name, dns.TypeTXT, Missing, "a wildcard answers for it with %s, and %s itself has no SPF record; it should be %q", quoted(good), name, want)
		return nil
	case len(good) == 0:
		k.say(name, dns.TypeTXT, Missing, "there is no SPF record; it should be %q", want)
		return nil
	case len(good) > 1:
		k.say(name, dns.TypeTXT, Doubled, "there are %d SPF records, and others go by none of them (permerror): %s", len(good), quoted(good))
		return nil
	}
	record, err := spf.Parse(good[0])
	if err != nil {
		k.say(name, dns.TypeTXT, Differs, "the SPF record %q cannot be read: %v", good[0], err)
		return nil
	}
	return record
}

// spfTerms looks for terms that are right and do harm.
func (k *checking) spfTerms(name string, record *spf.Record) {
	closed := false
	for _, t := range record.Terms {
		switch {
		case t.Kind == spf.All && t.Qualifier == spf.Pass:
			k.say(name, dns.TypeTXT, Dangerous, "%q in the SPF record lets anybody send as the domain", t.Text)
		case (t.Kind == spf.IP4 || t.Kind == spf.IP6) && t.Qualifier == spf.Pass && t.Prefix.Bits() < map[spf.Kind]int{spf.IP4: 8, spf.IP6: 16}[t.Kind]:
			k.say(name, dns.TypeTXT, Dangerous, "%q in the SPF record lets a large part of the internet send as the domain", t.Text)
		case t.Kind == spf.PTR:
			k.say(name, dns.TypeTXT, Note, "%q in the SPF record is slow and not to be used any more (RFC 7208 §5.5)", t.Text)
		case closed && t.Kind != spf.Explain && t.Kind != spf.Unknown:
			k.say(name, dns.TypeTXT, Differs, "%q in the SPF record stands behind \"all\" and never counts", t.Text)
		}
		closed = closed || t.Kind == spf.All
	}
	last := slices.ContainsFunc(record.Terms, func(t spf.Term) bool { return t.Kind == spf.All || t.Kind == spf.Redirect })
	if !last {
		k.say(name, dns.TypeTXT, Note, "the SPF record has no \"-all\" at its end, so it says nothing about hosts it does not name")
	}
	if n := len(record.Text); n > longSPF {
		k.say(name, dns.TypeTXT, TooLong, "the SPF record has %d octets; with more than %d the answer may not fit where no TCP is used (RFC 7208 §3.4)", n, longSPF)
	}
}

// bill adds up what the record costs a host that hears from an address that it does
// not name.
func (k *checking) bill(name string) {
	bill, err := k.spfChecker().Bill(k.ctx, spf.Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: k.plan.Host, MailFrom: "postmaster@" + name})
	for _, s := range bill.Steps {
		k.report.Bill = append(k.report.Bill, Charge{s.Depth, s.Term, s.Domain, s.Lookups, s.Voids})
		if s.Err != nil && !errors.Is(s.Err, spf.ErrLookups) && !errors.Is(s.Err, spf.ErrVoids) {
			k.say(name, dns.TypeTXT, Dangerous, "the term %q of the SPF record at %s cannot be evaluated: %v", s.Term, s.Domain, s.Err)
		}
	}
	counted := fmt.Sprintf("%d lookups of %d: %s", bill.Lookups, spf.MaxLookups, k.costs())
	switch {
	case bill.Lookups > spf.MaxLookups || errors.Is(err, spf.ErrLookups):
		k.say(name, dns.TypeTXT, Dangerous, "the SPF record needs more lookups than others make, and fails with them (permerror); %s", counted)
	case bill.Lookups >= spf.MaxLookups-1:
		k.say(name, dns.TypeTXT, Note, "the SPF record is close to where it fails: %s", counted)
	case err != nil:
		k.say(name, dns.TypeTXT, Unknown, "the SPF record cannot be evaluated: %v", err)
	default:
		k.say(name, dns.TypeTXT, OK, "the SPF record costs %s", counted)
	}
	switch {
	case bill.Voids > spf.MaxVoids:
		k.say(name, dns.TypeTXT, Dangerous, "%d terms of the SPF record lead to nothing, and with more than %d it fails (permerror): %s", bill.Voids, spf.MaxVoids, k.voids())
	case bill.Voids == spf.MaxVoids:
		k.say(name, dns.TypeTXT, Note, "%d terms of the SPF record lead to nothing, and with one more it fails: %s", bill.Voids, k.voids())
	}
}

// costs lists the terms of the domain's own record with what each needs in all.
func (k *checking) costs() string {
	var all []string
	for _, c := range k.report.Bill {
		if c.Depth == 0 && c.Lookups > 0 {
			all = append(all, fmt.Sprintf("%s %d", c.Term, c.Lookups))
		}
	}
	if len(all) == 0 {
		return "none needs any"
	}
	return strings.Join(all, ", ")
}

func (k *checking) voids() string {
	var all []string
	for _, c := range k.report.Bill {
		if c.Voids > 0 && !strings.HasPrefix(c.Term, "include:") {
			all = append(all, fmt.Sprintf("%q at %s", c.Term, c.Domain))
		}
	}
	return strings.Join(all, ", ")
}

// named looks whether the record has the terms of those who send for us.
func (k *checking) named(record *spf.Record) {
	for _, want := range k.plan.SPF {
		if !slices.ContainsFunc(record.Terms, func(t spf.Term) bool { return strings.EqualFold(t.Text, want) }) {
			k.say(k.plan.Domain, dns.TypeTXT, Differs, "the SPF record does not have %q, although mail leaves through others who need it", want)
		}
	}
}

// passes says what others make of mail from these addresses, whose sender may be null.
func (k *checking) passes(name, sender string, from []Sender) {
	for _, f := range from {
		a := f.Address
		o := k.spfChecker().Check(k.ctx, spf.Query{IP: a, Helo: f.Hello, MailFrom: sender})
		k.report.Sending = append(k.report.Sending, Sending{a, name, o.Result.String(), o.Mechanism})
		switch {
		case o.Result == spf.Pass:
		case o.Err != nil && o.Result == spf.TempError:
			k.say(name, dns.TypeTXT, Unknown, "whether mail from %s passes SPF could not be found out: %v", a, o.Err)
		case o.Err != nil:
			k.say(name, dns.TypeTXT, Dangerous, "mail from %s, which is ours, does not pass SPF: %s, %v", a, o.Result, o.Err)
		default:
			k.say(name, dns.TypeTXT, Dangerous, "mail from %s, which is ours, does not pass SPF: %s, because of %q", a, o.Result, o.Mechanism)
		}
	}
}
