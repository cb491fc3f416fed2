package zone

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// keys looks whether the DNS has the keys that mail is signed with.
func (k *checking) keys() {
	for _, key := range k.plan.Keys {
		name := key.Selector + "._domainkey." + key.Domain
		if key.State == Reserved {
			k.reserved(name)
			continue
		}
		v, ok := k.see(name, dns.TypeTXT)
		if !ok {
			continue
		}
		texts := v.texts()
		if v.wild && key.State != Gone {
			k.say(name, dns.TypeTXT, Missing, "a wildcard answers for it with %s, and %s itself is not there", quoted(texts), name)
			continue
		}
		if key.State == Gone {
			if !v.wild && slices.ContainsFunc(texts, func(t string) bool { r, err := dkim.ParseKey(t); return err == nil && r.Public != nil }) {
				k.say(name, dns.TypeTXT, Note, "the key signs no more, and can be revoked: %q", "v=DKIM1; p=")
			}
			continue
		}
		if len(texts) == 0 && (key.State == Announced || len(v.leads) > 0 && !v.exists) {
			switch {
			case key.State == Announced && !k.plan.signs(key.Domain):
				k.say(name, dns.TypeTXT, Missing, "no mail of %s is signed before this DKIM key is published; it should be %q", key.Domain, key.Value)
			case key.State == Announced:
				k.say(name, dns.TypeTXT, Note, "the next DKIM key is not published yet, so it does not sign yet; it should be %q", key.Value)
			}
			continue
		}
		k.key(name, key, texts)
	}
}

// key says what is wrong with the record of one key.
func (k *checking) key(name string, key Key, texts []string) {
	want, err := dkim.ParseKey(key.Value)
	if err != nil {
		k.say(name, dns.TypeTXT, Unknown, "the key that mail is signed with cannot be read: %v", err)
		return
	}
	faults := dkim.CheckRecords(texts, want.Public)
	for _, f := range faults {
		state, at := Dangerous, ""
		switch {
		case len(texts) == 0:
			state, at = Missing, fmt.Sprintf("; it should be %q", key.Value)
		case len(texts) > 1:
			state = Doubled
		case f.Fatal:
			state = Differs
		}
		if f.At >= 0 {
			at = " (at octet " + uitoa(uint32(f.At)) + " of the record)"
		}
		k.say(name, dns.TypeTXT, state, "%s%s", f.Text, at)
	}
	if len(faults) == 0 {
		k.say(name, dns.TypeTXT, OK, "the DNS has the key (%s)", key.State)
	}
}

// reserved looks at a name that is only to lead somewhere.
func (k *checking) reserved(name string) {
	v := k.asker.look(k.ctx, name, dns.TypeTXT)
	if !v.nobody && len(v.leads) == 0 && len(v.records) == 0 {
		k.say(name, dns.TypeCNAME, Note, "it leads nowhere yet; the next DKIM key needs it")
	}
}

// dmarc looks at the policies of the domain and of the server's own name, which has
// that of a domain above it if it has none of its own.
func (k *checking) dmarc() {
	p := k.plan
	k.policyAt(p.Domain, true)
	if p.Host != p.Domain {
		k.policyAt(p.Host, !strings.HasSuffix(p.Host, "."+p.Domain))
	}
}

func (k *checking) policyAt(domain string, needed bool) {
	name, want := "_dmarc."+domain, k.plan.policy(domain)
	v, ok := k.see(name, dns.TypeTXT)
	if !ok {
		return
	}
	for _, t := range v.texts() {
		if kindOf(t) == kindDMARC && !dmarc.IsRecord(t) {
			k.say(name, dns.TypeTXT, Differs, "%q is meant to be a DMARC record and is none: it has to begin with \"v=DMARC1;\", in this case and with nothing in front", t)
			needed = false
		}
	}
	if v.wild && len(v.ofKind(kindDMARC)) == 0 {
		v.records = nil // a wildcard for something else does no harm here
	}
	if v.wild && len(v.records) > 0 || len(v.ofKind(kindDMARC)) > 1 || needed {
		value, ok := k.single(name, kindDMARC, want, needed)
		if !ok {
			return
		}
		k.policy(name, domain, value)
		return
	}
	if found := v.ofKind(kindDMARC); len(found) == 1 {
		k.policy(name, domain, found[0])
	}
}

// policy looks at one record.
func (k *checking) policy(name, domain, value string) {
	r, err := dmarc.Parse(value)
	if err != nil {
		return // said already
	}
	for _, f := range r.Faults {
		state := Differs
		if strings.Contains(f.Reason, "history") {
			state = Note
		}
		k.say(name, dns.TypeTXT, state, "the tag %q of the DMARC record (at octet %d) %s", f.Tag, f.Offset, f.Reason)
	}
	want := dmarc.Policy(k.plan.DMARC)
	if want == "" {
		want = dmarc.Nothing
	}
	switch {
	case len(r.Faults) > 0 && r.P == "":
	case r.P != want:
		k.say(name, dns.TypeTXT, Note, `the policy is %q, and "DNS": {"dmarc_policy"} says %q`, r.P, want)
	case r.Testing && r.P != dmarc.Nothing:
		k.say(name, dns.TypeTXT, Note, "t=y: others do one step less than %q", r.P)
	default:
		k.say(name, dns.TypeTXT, OK, "others know the policy, %q", r.P)
	}
	if len(r.RUA) == 0 && k.plan.ReportsTo != "" {
		k.say(name, dns.TypeTXT, Note, "nobody reports what passes and what fails: there is no rua=mailto:%s", k.plan.reportsTo(domain))
	}
	k.permitted(name, domain, r.RUA)
}

// permitted looks whether reports would be sent to where they are asked for.
func (k *checking) permitted(name, domain string, to []dmarc.URI) {
	c := dmarc.Checker{Resolver: k.lookup}
	for _, u := range to {
		_, err := c.Recipients(k.ctx, domain, []dmarc.URI{u})
		switch {
		case errors.Is(err, dmarc.ErrNotPermitted):
			k.say(domain+"._report._dmarc."+u.Host(), dns.TypeTXT, Missing, "%s gets no reports, since its domain does not agree to it: it needs the record %q there", u.Address, "v=DMARC1")
		case errors.Is(err, dmarc.ErrNotMailto):
			k.say(name, dns.TypeTXT, Differs, "no report is sent to %q, which is no mailto:", u.Text)
		case err != nil:
			k.say(name, dns.TypeTXT, Unknown, "whether reports go to %q could not be found out: %v", u.Text, err)
		}
	}
}

// tlsReports looks at where others report about TLS (RFC 8460 §3).
func (k *checking) tlsReports() {
	name := "_smtp._tls." + k.plan.Domain
	v, ok := k.see(name, dns.TypeTXT)
	if !ok || v.wild && len(v.ofKind(kindTLSRPT)) == 0 {
		return
	}
	want := ""
	if to := k.plan.reportsTo(k.plan.Domain); to != "" {
		want = "v=TLSRPTv1; rua=" + mailto(to)
	}
	value, ok := k.single(name, kindTLSRPT, want, false)
	if !ok {
		return
	}
	rest, ok := strings.CutPrefix(value, "v=TLSRPTv1;")
	if !ok {
		k.say(name, dns.TypeTXT, Differs, "%q is meant to be a TLS-RPT record and is none: it has to begin with \"v=TLSRPTv1;\"", value)
		return
	}
	for tag := range strings.SplitSeq(rest, ";") {
		key, uris, _ := strings.Cut(strings.TrimSpace(tag), "=")
		if key != "rua" {
			continue
		}
		for uri := range strings.SplitSeq(uris, ",") {
			uri = strings.TrimSpace(uri)
			if !strings.HasPrefix(uri, "mailto:") && !strings.HasPrefix(uri, "https:") {
				k.say(name, dns.TypeTXT, Differs, "%q is neither mailto: nor https:, and gets no reports", uri)
			}
		}
		k.say(name, dns.TypeTXT, OK, "others report about TLS")
		return
	}
	k.say(name, dns.TypeTXT, Differs, "the TLS-RPT record has no rua=, so nobody gets a report")
}
