package zone

import (
	"strings"

	"github.com/miekg/dns"
)

// zone looks at the zone of a name: its servers, and what DNSSEC makes of it.
func (k *checking) zone(name string) {
	z := k.asker.zone(k.ctx, dns.Fqdn(name))
	if k.zones[z.name] {
		return
	}
	k.zones[z.name] = true
	if z.err != nil {
		k.say(name, dns.TypeNS, Unknown, "%v", z.err)
		return
	}
	answering := k.servers(z)
	if len(answering) == 0 {
		k.say(z.name, dns.TypeNS, Dangerous, "no server of the zone answers; nobody can find any of its records")
		return
	}
	k.dnssec(z, answering)
}

// servers looks whether each server of a zone answers for it, and with the same version.
func (k *checking) servers(z *apex) (answering []server) {
	serials := make(map[uint32][]string)
	for _, s := range z.servers {
		m, err := k.ask(k.ctx, s.address, z.name, dns.TypeSOA, false)
		switch {
		case err != nil && !reachableFamily(err):
			continue // that is this host's lack
		case err != nil:
			k.say(z.name, dns.TypeNS, Dangerous, "%s does not answer, and others wait for it in vain: %v", s, err)
		case !m.Authoritative || m.Rcode != dns.RcodeSuccess:
			k.say(z.name, dns.TypeNS, Dangerous, "%s is named as a server of the zone and does not have it: it answers %s", s, dns.RcodeToString[m.Rcode])
		default:
			answering = append(answering, s)
			for _, rr := range m.Answer {
				if soa, ok := rr.(*dns.SOA); ok {
					serials[soa.Serial] = append(serials[soa.Serial], s.String())
				}
			}
		}
	}
	if len(serials) > 1 {
		var all []string
		for serial, of := range serials {
			all = append(all, strings.Join(of, ", ")+" has "+uitoa(serial))
		}
		k.say(z.name, dns.TypeSOA, Note, "its servers have different versions of the zone: %s", joinSorted(all))
	}
	return answering
}

// dnssec compares what the zone above says of its keys with what is there, and with
// what a resolver makes of it.
func (k *checking) dnssec(z *apex, answering []server) {
	m, err := k.recurse(k.ctx, z.name, dns.TypeDS)
	if err != nil {
		k.say(z.name, dns.TypeDS, Unknown, "%v", err)
		return
	}
	chained := hasType(m.Answer, dns.TypeDS)
	keys, err := k.ask(k.ctx, answering[0].address, z.name, dns.TypeDNSKEY, false)
	if err != nil {
		return
	}
	signed := hasType(keys.Answer, dns.TypeDNSKEY)
	soa, err := k.recurse(k.ctx, z.name, dns.TypeSOA)
	if err != nil {
		return
	}
	k.bogus = k.bogus || chained && soa.Rcode == dns.RcodeServerFailure
	switch {
	case chained && !signed:
		k.say(z.name, dns.TypeDS, Dangerous, "the zone above says that this one is signed (DS), and it has no keys: whoever validates finds none of its records")
	case chained && !matches(m.Answer, keys.Answer):
		k.say(z.name, dns.TypeDS, Dangerous, "the zone above names other keys (DS) than the zone has: whoever validates finds none of its records")
	case chained && soa.Rcode == dns.RcodeServerFailure:
		k.say(z.name, dns.TypeDNSKEY, Dangerous, "the zone's signatures do not verify, or have expired: whoever validates finds none of its records")
	case chained && !soa.AuthenticatedData:
		k.insecure[z.name] = "the resolver " + k.Resolver + " does not validate"
		k.say(z.name, dns.TypeDS, Note, "the zone is signed, but the resolver %s does not validate, so it is not known whether others can", k.Resolver)
	case chained && k.Trusted:
		k.say(z.name, dns.TypeDS, OK, "the zone is signed, and the resolver %s has validated it", k.Resolver)
	case chained:
		k.say(z.name, dns.TypeDS, OK, `the zone is signed, and the resolver %s has validated it; "dnssec_trusted" is off, so mail going out does not rely on it`, k.Resolver)
	case signed:
		k.insecure[z.name] = "there are signatures, and the zone above does not say so (DS)"
		k.say(z.name, dns.TypeDS, Note, "the zone is signed, but the zone above does not say so (DS): nobody looks at the signatures")
	default:
		k.insecure[z.name] = "the zone is not signed"
		k.say(z.name, dns.TypeDS, OK, "the zone is not signed, which is no fault; DANE needs it")
	}
}

func hasType(records []dns.RR, kind uint16) bool {
	for _, rr := range records {
		if rr.Header().Rrtype == kind {
			return true
		}
	}
	return false
}

// matches reports whether one of the DS records is of one of the keys.
func matches(above, keys []dns.RR) bool {
	for _, x := range above {
		ds, ok := x.(*dns.DS)
		if !ok {
			continue
		}
		for _, y := range keys {
			if key, ok := y.(*dns.DNSKEY); ok {
				if made := key.ToDS(ds.DigestType); made != nil && strings.EqualFold(made.Digest, ds.Digest) {
					return true
				}
			}
		}
	}
	return false
}
