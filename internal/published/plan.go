package published

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Plan is what the DNS should know of one of the domains by these settings. It
// asks nobody, and changes nothing. keys may be nil: there are none then.
func Plan(s *conf.Settings, domain string, keys zone.Keys) (*zone.Plan, error) {
	p := PolicyPlan(s, domain, ripened(s))
	p.Addresses, p.SPF, p.Smarthost = Addresses(s), s.DNS.SPF, smarthost(s)
	p.Services, p.DMARC, p.ReportsTo = services(s), s.DNS.DMARCPolicy, s.DNS.ReportsTo
	p.TLSKeys, p.CAA, p.Autoconfig = TLSKeys(s), issuers(s), s.Web.Autoconfig
	p.Sending = senders(s, p)
	switch s.DNS.ReportsTo {
	case "":
		p.ReportsTo = reader(s, p.Domain)
	case "none":
		p.ReportsTo = ""
	}
	for _, of := range slices.Compact([]string{p.Domain, p.Host}) {
		if keys == nil {
			break
		}
		found, err := keys.DKIMKeys(of)
		if err != nil {
			return nil, err
		}
		p.Keys = append(p.Keys, found...)
	}
	return p, nil
}

// reader is who reads reports about a domain: the address that the settings have for
// it, one of the domain's own first, else the domain's postmaster.
func reader(s *conf.Settings, domain string) string {
	for _, a := range s.Reports.Address {
		if _, at, ok := strings.Cut(a, "@"); ok && domains.Canonical(at).String() == domain {
			return domains.CanonicalAddress(a).String()
		}
	}
	if len(s.Reports.Address) > 0 {
		return domains.CanonicalAddress(s.Reports.Address[0]).String()
	}
	return "postmaster"
}

// Planned are the domains that the DNS is to know something of. Mail to server_name itself needs
// its host's records only, which all have.
func Planned(s *conf.Settings) []domains.Name {
	all := s.Book().Domains()
	if len(all) < 2 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(d domains.Name) bool { return d == domains.Canonical(s.ServerName) && s.Domains[d.String()] == nil })
}

// senders are the addresses that mail leaves from, where the settings choose some for
// some domains; nil where they do not. With them come the names given in EHLO.
func senders(s *conf.Settings, p *zone.Plan) (all []zone.Sender) {
	for _, key := range slices.Sorted(maps.Keys(s.Queue.Domains)) {
		d := s.Queue.Domains[key]
		hello := cmp.Or(canonical(d.EHLOName), p.Host)
		from := p.Addresses
		if d.SourceAddress.IsValid() {
			from = []netip.Addr{d.SourceAddress}
		} else if hello == p.Host {
			continue
		}
		for _, a := range from {
			if next := (zone.Sender{Address: a, Hello: hello}); !slices.Contains(all, next) {
				all = append(all, next)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	var usual []zone.Sender
	for _, a := range p.Addresses {
		usual = append(usual, zone.Sender{Address: a, Hello: p.Host})
	}
	return append(usual, slices.DeleteFunc(all, func(from zone.Sender) bool { return slices.Contains(usual, from) })...)
}

// smarthost reports whether mail for anybody leaves through another host.
func smarthost(s *conf.Settings) bool {
	return slices.ContainsFunc(s.Queue.Routes, func(r conf.Route) bool { return r.Domain == "*" })
}

// canonical is the text of a domain's canonical form.
func canonical(domain string) string { return domains.Canonical(domain).String() }
