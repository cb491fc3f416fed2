package daemon

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Plan is what the DNS should know of one of the domains by these settings. It
// asks nobody, and changes nothing. keys may be nil: there are none then.
func Plan(s *conf.Settings, domain string, keys zone.Keys) (*zone.Plan, error) {
	p := policyPlan(s, domain, stsModes(s))
	p.Addresses, p.SPF, p.Smarthost = addresses(s), s.DNS.SPF, smarthost(s)
	p.Services, p.DMARC, p.ReportsTo = services(s), s.DNS.DMARCPolicy, s.DNS.ReportsTo
	p.TLSKeys, p.CAA, p.Autoconfig = tlsKeys(s), issuers(s), s.Web.Autoconfig
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

// welcome leads who starts a server for the first time to what only they can do.
func (d *Daemon) welcome(s *conf.Settings) {
	if _, err := os.Stat(s.MailDir); errors.Is(err, fs.ErrNotExist) && !s.OnlyHere() {
		d.log.Info("first start; mail comes once the DNS leads here", "records", "postrider dns show", "domains", s.Book().Domains())
	}
}

// smarthost reports whether mail for anybody leaves through another host.
func smarthost(s *conf.Settings) bool {
	return slices.ContainsFunc(s.Queue.Routes, func(r conf.Route) bool { return r.Domain == "*" })
}

// addresses are those that the internet reaches this host at: those that it takes
// mail at, if they are named, else those of its interfaces; and what the settings
// call its own.
func addresses(s *conf.Settings) []netip.Addr {
	var own []netip.Addr
	for _, l := range s.Listeners {
		a, _, ok := reachable(l)
		switch {
		case l.Protocol != conf.ProtocolSMTP || !ok:
		case a.IsUnspecified():
			own = union(own, interfaces())
		case isPublic(a):
			own = union(own, []netip.Addr{a})
		}
	}
	return union(own, s.Queue.OwnAddresses)
}

// union is a, and what of b is not in it, in one order.
func union(a, b []netip.Addr) []netip.Addr {
	all := slices.Concat(a, b)
	for i := range all {
		all[i] = all[i].Unmap().WithZone("")
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// interfaces are the public addresses of this machine, without those IPv6
// addresses that are used for a day and never again.
func interfaces() (public []netip.Addr) {
	passing := temporary()
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && isPublic(p.Addr()) && !passing[p.Addr()] {
			public = append(public, p.Addr())
		}
	}
	return public
}

// temporary are the addresses of privacy extensions (RFC 8981) and those that are
// about to go, where the system tells.
func temporary() map[netip.Addr]bool {
	const temporary, deprecated = 0x01, 0x20 // linux/if_addr.h
	text, _ := os.ReadFile("/proc/net/if_inet6")
	found := make(map[netip.Addr]bool)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 5 || len(f[0]) != 32 {
			continue
		}
		var groups []string
		for i := 0; i < 32; i += 4 {
			groups = append(groups, f[0][i:i+4])
		}
		flags, err := strconv.ParseUint(f[4], 16, 64)
		if a, err2 := netip.ParseAddr(strings.Join(groups, ":")); err == nil && err2 == nil && flags&(temporary|deprecated) != 0 {
			found[a] = true
		}
	}
	return found
}

// isPublic reports whether the internet can reach an address.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// reachable is where a listener is, if it is not for this host alone.
func reachable(l conf.Listener) (a netip.Addr, port uint16, ok bool) {
	host, service, err := net.SplitHostPort(l.Address)
	if err != nil {
		return a, 0, false // a Unix socket
	}
	if a = netip.IPv6Unspecified(); host != "" {
		if a, err = netip.ParseAddr(host); err != nil {
			return a, 0, false
		}
	}
	n, err := net.LookupPort("tcp", service)
	return a, uint16(n), err == nil && !a.IsLoopback()
}

// services are those for users, with IMAP where another server has it. What is not served is named
// as well, so that programs do not look for it.
func services(s *conf.Settings) []zone.Service {
	all := []zone.Service{{Name: "submissions"}, {Name: "submission"}, {Name: "pop3s"}, {Name: "pop3"}, {Name: "imaps"}, {Name: "imap"}}
	for _, l := range s.Listeners {
		_, port, ok := reachable(l)
		name := map[conf.Protocol]string{conf.ProtocolSubmission: "submission", conf.ProtocolPOP3: "pop3"}[l.Protocol]
		if !ok || name == "" || l.TLS == conf.TLSOff {
			continue
		}
		if l.TLS == conf.TLSImplicit {
			name += "s"
		}
		i := slices.IndexFunc(all, func(s zone.Service) bool { return s.Name == name })
		if all[i].Port == 0 {
			all[i].Port = port
		}
	}
	if host, port := s.IMAP.Where(s.ServerName); port > 0 {
		name := "imap"
		if s.IMAP.Secure() {
			name = "imaps"
		}
		i := slices.IndexFunc(all, func(s zone.Service) bool { return s.Name == name })
		if all[i].Port = port; canonical(host) != canonical(s.ServerName) {
			all[i].Host = canonical(host)
		}
	}
	return all
}

// tlsKeys are the keys that a client which asks for the server's name is shown, and the one it will be shown next.
func tlsKeys(s *conf.Settings) (keys []zone.TLSKey) {
	host := canonical(s.ServerName)
	for _, leaf := range certificatesFor(s, host) {
		key := zone.TLSKey{SPKI: sha256.Sum256(leaf.RawSubjectPublicKeyInfo)}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if next, err := s.DNS.NextKey(); err == nil && next != nil { // "check" tells of an error
		key := zone.TLSKey{SPKI: sha256.Sum256(next), Next: true}
		if !slices.Contains(keys, zone.TLSKey{SPKI: key.SPKI}) {
			keys = append(keys, key)
		}
	}
	return keys
}

// certificatesFor are the certificates for a name: those of files that are for it, else
// those an authority issued for it, else the first there is.
func certificatesFor(s *conf.Settings, host string) []*x509.Certificate {
	var files []string
	if s.TLS.CertificateFile != "" {
		files = append(files, s.TLS.CertificateFile)
	}
	for _, c := range s.TLS.Certificates {
		files = append(files, c.CertFile)
	}
	var fallback []*x509.Certificate
	for _, file := range files {
		leaf := leafOf(file)
		if leaf != nil && leaf.VerifyHostname(host) == nil {
			return []*x509.Certificate{leaf}
		}
		if leaf != nil && fallback == nil {
			fallback = []*x509.Certificate{leaf}
		}
	}
	if a := s.TLS.ACME; a.AcceptTerms {
		name := canonical(a.Names[0])
		if slices.ContainsFunc(a.Names, func(n string) bool { return canonical(n) == host }) {
			name = host
		}
		var issued []*x509.Certificate
		for _, kind := range []string{"", "+rsa"} {
			if leaf := leafOf(filepath.Join(a.Folder, name+kind)); leaf != nil {
				issued = append(issued, leaf)
			}
		}
		return issued
	}
	if fallback == nil {
		if leaf := leafOf(selfSignedPair(s).Cert); leaf != nil {
			fallback = []*x509.Certificate{leaf}
		}
	}
	return fallback
}

// leafOf is the first certificate of a file; a key may stand before it.
func leafOf(file string) *x509.Certificate {
	text, _ := os.ReadFile(file)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			leaf, _ := x509.ParseCertificate(block.Bytes)
			return leaf
		}
	}
	return nil
}

// issuers are the authorities that may issue certificates for the names of this
// host; nil where it is not known by what name their CAA records call them.
func issuers(s *conf.Settings) (all []zone.CAA) {
	a := s.TLS.ACME
	if !a.AcceptTerms || !strings.Contains(a.Directory, ".letsencrypt.org/") {
		return nil
	}
	account := acme.AccountURI(a.Folder, a.Directory)
	for _, name := range a.Names {
		all = append(all, zone.CAA{Name: canonical(name), Issuer: "letsencrypt.org", Account: account, Method: a.Challenge})
	}
	return all
}

// canonical is the text of a domain's canonical form.
func canonical(domain string) string { return domains.Canonical(domain).String() }
