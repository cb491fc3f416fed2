package zone

import (
	"github.com/miekg/dns"
)

// Delegate parts the records of a domain whose owner keeps its zone to himself
// and leads the names that change to a zone of ours, once: theirs is what they
// put there, CNAMEs among it; ours is what the CNAMEs lead to, which changes
// without them from then on.
//
// Their names become names below zone with the domain in front of it, so that
// many domains can be led into one zone: sel._domainkey.example.com leads to
// sel._domainkey.example.com.mail-dns.example.net.
func (p *Plan) Delegate(zone string) (theirs, ours []Record) {
	for _, r := range p.Records() {
		name := Name(r.RR)
		if !p.delegable(r.RR) {
			if dns.IsSubDomain(dns.Fqdn(p.Domain), dns.Fqdn(name)) {
				theirs = append(theirs, r)
			} else {
				ours = append(ours, r)
			}
			continue
		}
		target := name + "." + zone
		theirs = append(theirs, Record{RR: cname(name, target), Need: r.Need, Purpose: "once and for all; what it leads to follows by itself"})
		moved := r
		moved.RR = dns.Copy(r.RR)
		moved.RR.Header().Name = dns.Fqdn(target)
		ours = append(ours, moved)
	}
	for _, k := range p.Keys {
		if k.State == Reserved {
			name := k.Selector + "._domainkey." + k.Domain
			theirs = append(theirs, Record{RR: cname(name, name+"."+zone), Need: Should, Purpose: "for a DKIM key to come; it may lead to nothing now"})
		}
	}
	return theirs, ours
}

// delegable reports whether a record is one that changes by itself, or by our
// settings, and stands alone at its name.
func (p *Plan) delegable(rr dns.RR) bool {
	if rr.Header().Rrtype != dns.TypeTXT {
		return false
	}
	name := Name(rr)
	for _, k := range p.Keys {
		if name == k.Selector+"._domainkey."+k.Domain && k.Domain == p.Domain {
			return true
		}
	}
	return name == "_dmarc."+p.Domain || name == "_mta-sts."+p.Domain || name == "_smtp._tls."+p.Domain
}
