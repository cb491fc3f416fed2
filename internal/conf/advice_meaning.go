package conf

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// providers are domains that many people have an address at, and hardly anybody
// who reads this has the mail of.
var providers = []string{
	"aol.com", "fastmail.com", "free.fr", "gmail.com", "gmx.at", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hotmail.com", "icloud.com",
	"laposte.net", "live.com", "mail.ru", "mailbox.org", "me.com", "msn.com", "orange.fr", "outlook.com", "posteo.de", "proton.me", "protonmail.com",
	"qq.com", "t-online.de", "web.de", "yahoo.com", "yandex.ru", "zoho.com", "163.com", "126.com",
}

// least is a quota that any message is too large for.
const least config.Size = 64 << 10

// adviseMeaning looks for what can be written and hardly is meant.
func (c *checker) adviseMeaning() {
	if name := domains.Canonical(c.ServerName).String(); !strings.Contains(name, ".") && name != "localhost" {
		c.fail(at("server_name"), "there is no dot in the name; other hosts may refuse mail from one that is not as in the DNS, like \"mail.example.com\"")
	}
	c.adviseDomains()
	c.adviseQuotas()
	for i, l := range c.Listeners {
		if l.TLS == TLSOff && (l.Protocol == ProtocolPOP3 || l.Protocol == ProtocolSubmission) && !isLocal(l.Address) {
			c.fail(at("Listeners", i, "tls"), "without TLS anybody on the way can read what users send and fetch, and their passwords where a program sends them")
		}
	}
	for _, r := range c.text().Repeats() {
		path := config.Path(r.Steps...)
		if r.First.File != r.Second.File {
			c.failKey(r.Steps, "this takes the place of what stands in %s", r.First)
			continue
		}
		err := fmt.Errorf("%s: this stands here for the second time, the first is on line %d; the two are merged", path, r.First.Line)
		c.errs = append(c.errs, problem{&config.Error{Name: r.Second.File, Line: r.Second.Line, Col: r.Second.Col, Err: err}, false})
	}
}

// OnlyHere reports whether the server is one for this machine alone: it is called
// localhost, and no other machine can connect to it. A start without a configuration
// makes such settings.
func (s *Settings) OnlyHere() bool {
	return domains.Canonical(s.ServerName) == "localhost" && !slices.ContainsFunc(s.Listeners, func(l Listener) bool { return !isLocal(l.Address) })
}

// isLocal reports whether only programs of this host can connect to a listener.
func isLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip, _ := netip.ParseAddr(host)
	return err != nil || host == "localhost" || ip.IsLoopback() || strings.HasPrefix(address, "unix:")
}

// adviseDomains looks for domains that are somebody else's, and for those that
// nobody has an address in.
func (c *checker) adviseDomains() {
	used := make(map[domains.Name]bool)
	use := func(address string) { used[domains.CanonicalAddress(address).Domain()] = true }
	places := make(map[domains.Name][]any)
	c.Elsewhere.eachDomain(func(steps []any, name string) {
		used[domains.Canonical(name)], places[domains.Canonical(name)] = true, steps
	})
	c.eachAccount(func(steps []any, address string, a *Account) {
		use(address)
		for _, other := range a.Addresses {
			use(other)
		}
		places[domains.CanonicalAddress(address).Domain()] = steps
	})
	c.eachAlias(func(_ []any, address string, _ []string) { use(address) })
	c.eachDomain(func(name string, _ *Domain) { places[domains.Canonical(name)] = at("Domains", name) })
	for _, domain := range c.book.Domains() {
		if c.Elsewhere.Knows(domain) && c.book.Taker(domains.At("postmaster", domain), true) == "" {
			c.fail(at("postmaster"), "nobody of these settings gets the mail to postmaster and abuse of %s; write who does", domain)
		}
		place := places[domain]
		if place == nil { // the server's own name
			continue
		}
		switch {
		case slices.Contains(providers, domain.String()):
			c.failKey(place, "%s belongs to a mail provider; mail to any address there stays here, and never reaches them", domain)
		case !strings.Contains(domain.String(), ".") && domain != "localhost":
			c.failKey(place, "%s has no dot; is it a domain of yours?", domain)
		}
		if !used[domain] {
			c.failKey(place, "nobody has an address in %s: all mail to it is refused but that to postmaster and abuse", domain)
		}
	}
}

// adviseQuotas looks for limits that were meant in another unit.
func (c *checker) adviseQuotas() {
	small := func(steps []any, quota config.Size) {
		if quota > 0 && quota < least {
			c.fail(steps, "%v is hardly room for one message; is the unit missing, as in \"50MB\"?", quota)
		}
	}
	small(at("Store", "quota"), c.Store.Quota)
	c.eachDomain(func(name string, d *Domain) {
		small(at("Domains", name, "quota"), d.Quota)
		small(at("Domains", name, "total_quota"), d.TotalQuota)
	})
	c.eachAccount(func(steps []any, _ string, a *Account) {
		if a.Quota != Unlimited {
			small(append(steps[:len(steps):len(steps)], "quota"), config.Size(a.Quota))
		}
	})
}
