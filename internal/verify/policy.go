package verify

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// What is done with a message, and why so.
//
// A domain of this host comes first: that its own users would be written to in its name is
// what nobody expects, whether or not its DNS is set up. Then what the author's
// domain asks for. A domain that asks for "reject" and knows that its users write to mailing lists
// has been told not to (RFC 9989 §7.4); those who ask all the same would lose their own
// users' mail, so what comes by a list that stands for itself, or by a host that the settings trust, is marked.

// decide fills in what is done with a message whose readers may see these domains as its
// author's.
func (i *inspection) decide(ctx context.Context, d *Verdict, authors []domains.Name) {
	rules := i.s.rules
	d.Action = Note
	if d.Own = slices.ContainsFunc(authors, rules.IsOwn); d.Own {
		d.Ours = own(authors, rules)
	}
	switch policy := d.DMARC.Policy; {
	case d.Own && !d.speaksFor(authors):
		d.Action, d.Why = rules.OwnDomains, fmt.Sprintf("From names %s, a domain of this host, and neither SPF nor DKIM shows that it is from there", d.Ours)
	case (d.several() || d.unclear() && !d.speaksFor(authors)) && policy != dmarc.Nothing && policy != "":
		d.Action, d.Why = rules.asked(policy), "From shows several domains, and one of them wants no mail in its name that cannot be checked"
	case d.DMARC.Disposition() != dmarc.Nothing:
		d.Action = rules.asked(d.DMARC.Disposition())
		d.Why = fmt.Sprintf("the domain %s asks for p=%s, and neither SPF nor DKIM passes for it", d.DMARC.Domain, d.DMARC.Disposition())
	case d.nameless() && rules.NoAuthor != "":
		d.Action, d.Why = rules.NoAuthor, "From is missing, stands there twice or names nobody"
	case d.SPF.Result == spf.Fail && d.DMARC.Record == nil && d.DMARC.Result == dmarc.None:
		d.Action, d.Why = rules.SPF, fmt.Sprintf("the domain %s does not let %s send in its name (SPF)", d.SPF.Domain, d.Client.Addr)
	}
	d.Action = rules.possible(d.Action)
	i.soften(ctx, d, authors)
	i.suspect(ctx, d)
	if d.Action == Note {
		d.Why = ""
	}
}

// possible is an action as far as it can be done.
func (r *Rules) possible(a Action) Action {
	if a == Quarantine && !r.Aside {
		return Mark
	}
	return a
}

// asked is what is done where a domain asks for something.
func (r *Rules) asked(p dmarc.Policy) Action {
	if r.DMARC == Refuse && p != dmarc.Reject {
		return Quarantine
	}
	return r.DMARC
}

// soften does less where more might hit an honest sender.
func (i *inspection) soften(ctx context.Context, d *Verdict, authors []domains.Name) {
	rules := i.s.rules
	asked := d.Action
	if d.Action == Refuse || d.Action == Quarantine {
		switch {
		case d.hidden || i.unknown(ctx, d, authors):
			d.Action, d.Override = Mark, "local_policy"
		case i.v.forwarded(ctx, i.s, d.Client):
			d.Action, d.Override = Mark, "trusted_forwarder"
		// Anybody can call himself a list. Who writes as one of us is refused for it; the lists
		// that our users write to are few, and forwarders.
		case i.listed && d.stands() && !d.Own:
			d.Action, d.Override = Mark, "mailing_list"
		}
	}
	if softest := rules.softest(i.look.Envelope.To); softest.below(d.Action) {
		d.Action, d.Override = softest, "local_policy"
	}
	if d.Action == asked || asked == Quarantine && d.Action == Mark { // a mark is all that was asked for, mostly
		d.Override = ""
	}
}

// softest is the most that is done with mail for these recipients. One of them has no say in
// whether the others hear of what was found: where not all want it only noted, it is marked.
func (r *Rules) softest(to []smtp.Recipient) Action {
	least, most := Refuse, Note
	for _, rcpt := range to {
		its, ok := r.Softest[rcpt.Path.DomainName()]
		if !ok {
			its = Refuse
		}
		if its.below(least) {
			least = its
		}
		if most.below(its) {
			most = its
		}
	}
	if least == Note && most != Note {
		return Mark
	}
	return least
}

// unknown reports whether something that might have spoken for the message could not be found
// out now. Whoever forges has domains whose servers do not answer: only what the author's
// own may hold counts.
func (i *inspection) unknown(ctx context.Context, d *Verdict, authors []domains.Name) bool {
	if len(authors) != 1 || d.several() {
		return false // no answer would have helped
	}
	missing := make([]string, 0, 1)
	if d.SPF.Result == spf.TempError {
		missing = append(missing, d.SPF.Domain)
	}
	for j := range d.DKIM {
		if d.DKIM[j].Status == dkim.TempError {
			missing = append(missing, d.DKIM[j].Domain)
		}
	}
	return slices.ContainsFunc(missing, func(domain string) bool { return i.might(ctx, domains.Canonical(domain), authors[0]) })
}

// might reports whether a domain could speak for an author's.
func (i *inspection) might(ctx context.Context, domain, author domains.Name) bool {
	if related(domain, author) {
		return true
	}
	if i.s.rules.IsOwn(author) || !sameTop(domain, author) {
		return false
	}
	checker := dmarc.Checker{Resolver: i.v.dns(), Timeout: dmarcTimeout, Records: &i.v.records}
	organization, err := checker.Organization(ctx, author.String())
	return err != nil || related(domain, domains.Canonical(organization))
}

// sameTop reports whether two names have their last label in common.
func sameTop(a, b domains.Name) bool {
	last := func(n domains.Name) string { return n.String()[strings.LastIndexByte(n.String(), '.')+1:] }
	return last(a) == last(b)
}

// below reports whether an action does less than another.
func (a Action) below(b Action) bool { return a.rank() < b.rank() }

func (a Action) rank() int { return slices.Index([]Action{Note, Mark, Quarantine, Refuse}, a) }

// speaksFor reports whether SPF or DKIM passes for one of these domains, or a
// domain above it or below it.
func (d *Verdict) speaksFor(authors []domains.Name) bool {
	if len(authors) != 1 || d.several() {
		return false // readers may be shown another one
	}
	p := d.passed()
	return slices.ContainsFunc(append(p.DKIM, p.SPF), func(passed string) bool { return related(domains.Canonical(passed), authors[0]) })
}

// related reports whether one domain is the other or below it. Whose mail is kept here is one
// organization, wherever in its tree it stands.
func related(a, b domains.Name) bool {
	return a != "" && (domains.Within(a, b) || domains.Within(b, a) && strings.Contains(a.String(), "."))
}

func own(authors []domains.Name, rules *Rules) domains.Name {
	return authors[slices.IndexFunc(authors, rules.IsOwn)]
}

// forwarded reports whether the client is one whose mail was somebody else's, or may be as far as
// the DNS answers.
func (v *Verifier) forwarded(ctx context.Context, s *sender, c iprevClient) bool {
	rules, client := s.rules, s.client
	if slices.ContainsFunc(rules.Forwarders, func(p netip.Prefix) bool { return p.Contains(client) }) {
		return true
	}
	if c.Name != "" {
		if trusted, _ := rules.ForwardingHosts.Get(domains.Canonical(c.Name)); trusted {
			return true
		}
	} else if c.Result == "temperror" && rules.knowsHosts() {
		return true
	}
	return slices.ContainsFunc(rules.OtherMX, func(host string) bool {
		addrs, err := v.dns().LookupNetIP(ctx, family(client), strings.TrimSuffix(host, ".")+".")
		return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == client }) || err != nil && trouble(err) == "temperror"
	})
}

// knowsHosts reports whether the settings trust hosts by their names.
func (r *Rules) knowsHosts() bool {
	for range r.ForwardingHosts.All() {
		return true
	}
	return false
}

// stands reports whether somebody stands for the message, be it not its author.
func (d *Verdict) stands() bool {
	return d.SPF.Result == spf.Pass || slices.ContainsFunc(d.DKIM, func(r dkim.Result) bool { return r.Status == dkim.Pass })
}

// reply is the answer to a message that is refused (RFC 7372).
func (d *Verdict) reply() *smtp.Reply {
	r := &smtp.Reply{Code: 550, Enhanced: "5.7.26", Text: "Not accepted: " + d.Why}
	switch {
	case d.Own:
		r.Text += ". If it should be, its host has to be in Verify.forwarders of this server"
	case d.nameless() && d.DMARC.Policy == "":
		r.Enhanced = "5.6.0" // it is the message that is wrong, and no check has failed
	case d.DMARC.Record == nil && !d.several() && !d.unclear():
		r.Enhanced = "5.7.23"
		if d.SPF.Explanation != "" {
			r.Text += "; it says: " + d.SPF.Explanation
		}
	}
	return r
}
