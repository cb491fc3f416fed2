package zone

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Need is how much a record is needed.
type Need string

// The needs.
const (
	Must   Need = "must"   // mail does not come, or is refused elsewhere, without it
	Should Need = "should" // without it mail is trusted less, or can be read on the way
	May    Need = "may"    // it makes something easier
)

// Record is one record that should be in the DNS.
type Record struct {
	RR      dns.RR // its name is absolute
	Need    Need
	Purpose string // why, in a sentence
	// Provider: the record is in the zone of who gave us the address, and only
	// they can set it.
	Provider bool
	// SignedOnly: the record does nothing unless its zone is signed with DNSSEC.
	SignedOnly bool
}

// ttl is how long others keep a record, in seconds: short enough that a mistake
// is forgotten within the hour.
const ttl = 3600

// Records are all records of the plan: those of the host first, then those of
// the domain.
func (p *Plan) Records() []Record {
	var b builder
	b.host(p)
	b.exchangers(p)
	b.spf(p)
	b.keys(p)
	b.dmarc(p)
	b.transport(p)
	b.services(p)
	return b.records
}

// Notes say what the plan could not know, one sentence each.
func (p *Plan) Notes() []string {
	var notes []string
	if len(p.Addresses) == 0 {
		notes = append(notes, `no address of this host is one of the internet, so A and AAAA of `+p.Host+` are not listed; write the outer one into "Queue": {"own_addresses": ["192.0.2.25"]}`)
	}
	for _, a := range p.sendersAs(p.Host) {
		if len(p.Addresses) > 0 && !slices.Contains(p.Addresses, a) {
			notes = append(notes, fmt.Sprintf(`mail leaves from %s as %s, which does not lead there, and receivers look whether it does; give it a name of its own: "ehlo_name" beside "source_address"`, a, p.Host))
		}
	}
	if p.Smarthost && len(p.SPF) == 0 {
		notes = append(notes, `mail leaves through a provider, who says what the SPF record must have for it; write it into "DNS": {"spf": ["include:…"]}`)
	}
	if !slices.ContainsFunc(p.Keys, func(k Key) bool { return k.Domain == p.Domain && k.State != Gone }) {
		notes = append(notes, "there is no DKIM key for "+p.Domain+", so its mail is not signed")
	}
	return notes
}

// builder collects records.
type builder struct{ records []Record }

func (b *builder) add(need Need, rr dns.RR, purpose string) *Record {
	b.records = append(b.records, Record{RR: rr, Need: need, Purpose: purpose})
	return &b.records[len(b.records)-1]
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: dns.Fqdn(name), Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

func txt(name, value string) *dns.TXT {
	return &dns.TXT{Hdr: header(name, dns.TypeTXT), Txt: txtStrings(value)}
}

// address is an A or AAAA record.
func address(name string, a netip.Addr) dns.RR {
	if a = a.Unmap(); a.Is4() {
		return &dns.A{Hdr: header(name, dns.TypeA), A: a.AsSlice()}
	}
	return &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: a.AsSlice()}
}

func (b *builder) host(p *Plan) {
	for _, a := range p.Addresses {
		b.add(Must, address(p.Host, a), "the server's address")
	}
	var named []netip.Addr
	for _, from := range p.senders() {
		name, err := dns.ReverseAddr(from.Address.String())
		if err != nil || slices.Contains(named, from.Address) {
			continue
		}
		named = append(named, from.Address)
		r := b.add(Must, &dns.PTR{Hdr: header(name, dns.TypePTR), Ptr: dns.Fqdn(from.Hello)}, "the address has the server's name, or large providers refuse its mail; who gave you the address sets it")
		r.Provider = true
	}
	if p.Host != p.Domain {
		b.add(Should, p.helloSPF(p.Host), "bounces, whose sender is empty, are judged by the server's name")
		b.add(Should, txt("_dmarc."+p.Host, p.policy(p.Host)), "nobody else may write as an address of the server itself")
	}
	for _, name := range p.hellos() {
		for _, a := range p.sendersAs(name) {
			b.add(Must, address(name, a), "the server calls itself so where mail leaves from there")
		}
		b.add(Should, p.helloSPF(name), "the server calls itself so to some, and its bounces are judged by it")
	}
	for _, k := range p.TLSKeys {
		why := "others deliver only to who has the server's key (DANE), where the zone is signed"
		if k.Next {
			why = "the server's next key, to be known before it is used"
		}
		r := b.add(May, &dns.TLSA{Hdr: header("_25._tcp."+p.Host, dns.TypeTLSA), Usage: 3, Selector: 1, MatchingType: 1, Certificate: hex.EncodeToString(k.SPKI[:])}, why)
		r.SignedOnly = true
	}
	for _, c := range p.CAA {
		b.add(May, &dns.CAA{Hdr: header(c.Name, dns.TypeCAA), Tag: "issue", Value: c.value()}, "no other authority issues a certificate for "+c.Name)
	}
}

// senders are the addresses that mail leaves from.
func (p *Plan) senders() []Sender {
	if len(p.Sending) > 0 {
		return p.Sending
	}
	all := make([]Sender, len(p.Addresses))
	for i, a := range p.Addresses {
		all[i] = Sender{a, p.Host}
	}
	return all
}

// hellos are the names that the server gives in EHLO beside Host.
func (p *Plan) hellos() (names []string) {
	for _, from := range p.senders() {
		if from.Hello != p.Host && !slices.Contains(names, from.Hello) {
			names = append(names, from.Hello)
		}
	}
	return names
}

// sendersAs are the addresses that mail leaves from under one name.
func (p *Plan) sendersAs(hello string) (all []netip.Addr) {
	for _, from := range p.senders() {
		if from.Hello == hello {
			all = append(all, from.Address)
		}
	}
	return all
}

// helloSPF is the SPF record of a name given in EHLO.
func (p *Plan) helloSPF(name string) *dns.TXT {
	if name != p.Host {
		return spfText(name, "a", "-all")
	}
	return spfText(name, slices.Concat([]string{"a"}, p.others(p.sendersAs(name)), []string{"-all"})...)
}

func (b *builder) exchangers(p *Plan) {
	for i, host := range p.exchangers() {
		why := "mail for the domain comes here"
		if i > 0 {
			why = "mail for the domain goes there while this server is away"
		}
		b.add(Must, &dns.MX{Hdr: header(p.Domain, dns.TypeMX), Preference: uint16(10 * (i + 1)), Mx: dns.Fqdn(host)}, why)
	}
}

func (b *builder) spf(p *Plan) {
	self := "mx"
	if len(p.OtherMX) > 0 { // they take mail, and send none as the domain
		self = "a:" + p.Host
	}
	var sending []netip.Addr
	for _, from := range p.senders() {
		sending = append(sending, from.Address)
	}
	terms := slices.Concat([]string{self}, p.others(sending), p.SPF)
	why, all := "the domain's mail comes from these hosts and no others", "-all"
	if p.Smarthost && len(p.SPF) == 0 {
		why, all = "the domain's mail comes from these hosts and from a provider's, which are not named yet", "?all"
	}
	b.add(Must, spfText(p.Domain, append(terms, all)...), why)
}

// spfText is the SPF record of these terms.
func spfText(name string, terms ...string) *dns.TXT {
	return txt(name, "v=spf1 "+strings.Join(terms, " "))
}

// others are the terms for those addresses that the host's name does not have.
func (p *Plan) others(sending []netip.Addr) (terms []string) {
	for _, a := range sending {
		if term := ipTerm(a); !slices.Contains(p.Addresses, a) && !slices.Contains(terms, term) {
			terms = append(terms, term)
		}
	}
	return terms
}

// ipTerm is the SPF mechanism for one address.
func ipTerm(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		return "ip4:" + a.String()
	}
	return "ip6:" + a.String()
}

func (b *builder) keys(p *Plan) {
	for _, k := range p.Keys {
		name := k.Selector + "._domainkey." + k.Domain
		switch k.State {
		case Announced:
			need := Must
			if p.signs(k.Domain) {
				need = Should
			}
			b.add(need, txt(name, k.Value), "the DKIM key that signs next, once this is seen")
		case Signing:
			b.add(Must, txt(name, k.Value), "the DKIM key that mail is signed with")
		case Retired:
			b.add(Should, txt(name, k.Value), "an earlier DKIM key: mail signed with it may be under way")
		case Gone:
			b.add(May, txt(name, "v=DKIM1; p="), "an earlier DKIM key is revoked")
		}
	}
}

// signs reports whether a key of a domain signs: another that is announced has time.
func (p *Plan) signs(domain string) bool {
	return slices.ContainsFunc(p.Keys, func(k Key) bool { return k.Domain == domain && k.State == Signing })
}

// reportsTo is the address that reports about a name go to, or "".
func (p *Plan) reportsTo(name string) string {
	if p.ReportsTo == "" || strings.Contains(p.ReportsTo, "@") {
		return p.ReportsTo
	}
	return p.ReportsTo + "@" + name
}

// policy is the DMARC record of a name (RFC 9989 §4.7).
func (p *Plan) policy(name string) string {
	value := "v=DMARC1; p=none"
	if p.DMARC != "" {
		value = "v=DMARC1; p=" + p.DMARC
	}
	if to := p.reportsTo(name); to != "" {
		value += "; rua=" + mailto(to)
	}
	return value
}

// mailto is an address as a URI within a list of tags, where commas part URIs,
// semicolons tags, and an exclamation mark begins a size (RFC 9989 §4.7, RFC 6068).
func mailto(address string) string {
	i := strings.LastIndexByte(address, '@')
	return "mailto:" + url.PathEscape(address[:i]) + address[i:]
}

func (b *builder) dmarc(p *Plan) {
	why := "what others do with mail that only claims to be of the domain, and where they report it"
	if p.DMARC == "" || p.DMARC == "none" {
		why += `; after two weeks of reports that show only your own mail passing, "dmarc_policy" can be "quarantine", then "reject"`
	}
	b.add(Must, txt("_dmarc."+p.Domain, p.policy(p.Domain)), why)
	_, to, _ := strings.Cut(p.ReportsTo, "@")
	for _, from := range slices.Compact([]string{p.Domain, p.Host}) {
		if ours := related(p.Domain, from) && related(p.Domain, to); to != "" && !ours && !related(from, to) {
			b.add(Should, txt(from+"._report._dmarc."+to, "v=DMARC1"), "the domain of the address agrees to get the reports")
		}
	}
}

// related reports whether one of two names is, or is below, the other: they are of
// one organization then, for all that can be said without asking (RFC 9990 §4).
func related(a, b string) bool {
	return domains.Within(a, b) || domains.Within(b, a)
}

func (b *builder) transport(p *Plan) {
	if p.STS != STSOff {
		b.add(Should, txt("_mta-sts."+p.Domain, "v=STSv1; id="+p.policyID()), "there is a policy of TLS for mail to the domain (MTA-STS), and this is its version")
		b.add(Should, cname("mta-sts."+p.Domain, p.Host), "where the policy is fetched from over HTTPS; it may lead to another web server that has it")
	}
	if p.ReportsTo != "" {
		b.add(Should, txt("_smtp._tls."+p.Domain, "v=TLSRPTv1; rua="+mailto(p.reportsTo(p.Domain))), "others report where TLS failed on the way to the domain")
	}
}

func cname(name, target string) *dns.CNAME {
	return &dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: dns.Fqdn(target)}
}

func srv(name, host string, port uint16) *dns.SRV {
	if port == 0 {
		return &dns.SRV{Hdr: header(name, dns.TypeSRV), Target: "."}
	}
	return &dns.SRV{Hdr: header(name, dns.TypeSRV), Weight: 1, Port: port, Target: dns.Fqdn(host)}
}

func (b *builder) services(p *Plan) {
	for _, s := range p.Services {
		why := fmt.Sprintf("mail programs find %s by it", s.Name)
		if s.Port == 0 {
			why = fmt.Sprintf("there is no %s, and mail programs need not try", s.Name)
		}
		b.add(May, srv("_"+s.Name+"._tcp."+p.Domain, cmp.Or(s.Host, p.Host), s.Port), why)
	}
	if p.Autoconfig {
		b.add(May, cname("autoconfig."+p.Domain, p.Host), "Thunderbird and others ask there for the settings")
		b.add(May, srv("_autodiscover._tcp."+p.Domain, p.Host, 443), "Outlook asks there for the settings")
	}
}
