package conf

import (
	"crypto/x509"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

func (c *checker) queue() {
	q := &c.Queue
	before := len(c.errs)
	c.times(at("Queue"), waits{q.RetryFirst, q.RetryMax, q.ExpireAfter, q.DelayWarningAfter})
	timesRight := len(c.errs) == before
	if q.DestinationConcurrency > q.Concurrency && q.Concurrency > 0 {
		c.fail(at("Queue", "destination_concurrency"), "%d is more than concurrency, %d", q.DestinationConcurrency, q.Concurrency)
	}
	if q.MaxOctets > 0 && q.MaxOctets < c.SMTP.MaxMessageSize {
		c.fail(at("Queue", "max_octets"), "%v has no room for one message of SMTP.max_message_size, %v", q.MaxOctets, c.SMTP.MaxMessageSize)
	}
	c.resolvers()
	c.ownNames()
	c.caFile(at("Queue", "ca_file"), c.Queue.CAFile)
	if q.TLSReport != "" {
		if err := checkAddress(q.TLSReport); err != nil {
			c.fail(at("Queue", "tls_report"), "%w", err)
		}
	}
	for i := range q.Routes {
		c.route(&q.Routes[i], i)
	}
	taken := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(q.Domains)) {
		c.queueDomain(key, q.Domains[key], timesRight, taken)
	}
}

// waits are the times of the queue, or those of one domain.
type waits struct{ first, most, expire, warn time.Duration }

// For returns the settings of one domain with those of the queue filled in.
// The other fields are as they stand under exactly this name; nil is an empty
// QueueDomain.
func (q *Queue) For(d *QueueDomain) QueueDomain {
	all := QueueDomain{RetryFirst: q.RetryFirst, RetryMax: q.RetryMax, ExpireAfter: q.ExpireAfter, DelayWarningAfter: q.DelayWarningAfter}
	if d == nil {
		return all
	}
	merged := *d
	for _, f := range []struct{ own, common *time.Duration }{
		{&merged.RetryFirst, &all.RetryFirst}, {&merged.RetryMax, &all.RetryMax},
		{&merged.ExpireAfter, &all.ExpireAfter}, {&merged.DelayWarningAfter, &all.DelayWarningAfter},
	} {
		if *f.own == 0 {
			*f.own = *f.common
		}
	}
	if d.RetryMax == 0 && d.RetryFirst > merged.RetryMax {
		merged.RetryMax = d.RetryFirst
	}
	return merged
}

// times checks the times that stand in an object.
func (c *checker) times(object []any, w waits) {
	key := func(name string) []any { return append(slices.Clone(object), name) }
	short := func(d time.Duration) string { return config.FormatDuration(d) }
	if w.most < w.first {
		c.fail(key("retry_max"), "%s is less than retry_first, %s", short(w.most), short(w.first))
	}
	if w.first >= w.expire && w.expire >= time.Hour {
		c.fail(key("retry_first"), "%s is not before expire_after, %s: a message would be tried only once", short(w.first), short(w.expire))
	}
	if w.warn >= w.expire && w.warn > 0 {
		c.fail(key("delay_warning_after"), "%s is not before expire_after, %s", short(w.warn), short(w.expire))
	}
}

// resolvers checks where the DNS is asked.
func (c *checker) resolvers() {
	for i, s := range c.Queue.DNSServers {
		if _, err := ResolverAddress(s); err != nil {
			c.fail(at("Queue", "dns_servers", i), `%q is not an address; write one like "127.0.0.1" or "[::1]:53"`, s)
		}
	}
}

// ResolverAddress reads an element of dns_servers; the port is 53 unless it
// says another.
func ResolverAddress(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	return netip.ParseAddrPort(s)
}

func (c *checker) ownNames() {
	for i, name := range c.Queue.OwnNames {
		if err := checkDomain(name); err != nil {
			c.fail(at("Queue", "own_names", i), "%w", err)
		}
	}
	for i, a := range c.Queue.OwnAddresses {
		if !a.IsValid() || a.IsUnspecified() {
			c.fail(at("Queue", "own_addresses", i), "%v is not the address of a host", a)
		}
	}
	switch domain := c.Queue.SRSDomain; {
	case domain == "":
	case checkDomain(domain) != nil:
		c.fail(at("Queue", "srs_domain"), "%w", checkDomain(domain))
	case !c.book.IsLocal(domains.Canonical(domain)):
		c.fail(at("Queue", "srs_domain"), "%s is no domain of this server: bounces would not come back; write it into Domains", domain)
	}
}

// caFile checks a file of authorities' certificates.
func (c *checker) caFile(steps []any, name string) {
	if name == "" {
		return
	}
	text, err := os.ReadFile(name)
	switch {
	case err != nil:
		c.fail(steps, "%w", err)
	case !x509.NewCertPool().AppendCertsFromPEM(text):
		c.fail(steps, "there is no certificate in PEM form in %s", name)
	}
}

// queueDomain checks what is different for a domain, or several; its times only
// where those that it takes over are right. taken are the names seen before, with
// the keys they stand in.
func (c *checker) queueDomain(name string, d *QueueDomain, timesRight bool, taken map[string]string) {
	here := func(key string) []any { return at("Queue", "Domains", name, key) }
	for one := range strings.SplitSeq(name, ",") {
		if one = strings.TrimSpace(one); !c.pattern(at("Queue", "Domains", name), strings.TrimPrefix(one, "*."), true) {
			continue
		}
		one = canonicalName(one)
		if other, ok := taken[one]; ok {
			c.failKey(at("Queue", "Domains", name), "%s stands in %q already", one, other)
		}
		taken[one] = name
	}
	c.needsDNSSEC(here("tls"), d.TLS)
	if d.EHLOName != "" {
		if err := checkDomain(d.EHLOName); err != nil {
			c.fail(here("ehlo_name"), "%w", err)
		}
	}
	if a := d.SourceAddress; a.IsValid() && (a.IsUnspecified() || a.IsMulticast()) {
		c.fail(here("source_address"), "%v is not the address of a host", a)
	}
	if d.OwnTimes() && timesRight {
		// A warning that would come too late where mail is given up early is
		// none; only one that was asked for is a contradiction.
		w := c.Queue.For(d)
		c.times(at("Queue", "Domains", name), waits{w.RetryFirst, w.RetryMax, w.ExpireAfter, d.DelayWarningAfter})
	}
}

// OwnTimes reports whether a time of the queue is different for the domain.
func (d *QueueDomain) OwnTimes() bool {
	return d.RetryFirst != 0 || d.RetryMax != 0 || d.ExpireAfter != 0 || d.DelayWarningAfter != 0
}

// QueueNames are the names that a key of Queue.Domains consists of, in canonical
// form: domains, ".example.com" for all below one, "*".
func QueueNames(key string) (names []string) {
	for name := range strings.SplitSeq(key, ",") {
		names = append(names, canonicalName(strings.TrimSpace(name)))
	}
	return names
}

func canonicalName(name string) string {
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		name = "." + rest
	}
	return canonicalPattern(name)
}

// needsDNSSEC refuses "dane" where no answer of the DNS can be believed.
func (c *checker) needsDNSSEC(steps []any, level string) {
	if level == "dane" && !c.Queue.DNSSECTrusted {
		c.fail(steps, `"dane" needs a DNS server that validates DNSSEC: write "dns_servers" and "dnssec_trusted": true`)
	}
}

func (c *checker) route(r *Route, i int) {
	here := func(key string) []any { return at("Queue", "Routes", i, key) }
	c.routeDomain(r, i)
	c.routeHosts(r, i)
	c.needsDNSSEC(here("tls"), r.TLS)
	switch {
	case r.User != "" && r.Password == "" && r.PasswordFile == "" && c.notes[config.Path(here("password")...)] == "":
		c.failMissing(here("user"), "password or password_file is missing")
	case r.User == "" && r.Password != "":
		c.fail(here("password"), "user is missing")
	case r.User != "" && (r.TLS == "none" || r.TLS == "may"):
		c.fail(here("tls"), "%q would let the password cross the network in clear; write \"verify\"", r.TLS)
	case r.User == "" && len(r.Mechanisms) > 0:
		c.fail(here("mechanisms"), "user is missing")
	}
	c.sealedRoute(r, i)
	known := []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"}
	for j, m := range r.Mechanisms {
		if !slices.Contains(known, strings.ToUpper(m)) {
			c.fail(append(here("mechanisms"), j), "%q is not one of %s", m, strings.Join(known, ", "))
		}
	}
}

func (c *checker) routeHosts(r *Route, i int) {
	here := at("Queue", "Routes", i, "host")
	if len(r.Host) == 0 || len(r.Host) == 1 && r.Host[0] == "" {
		c.fail(here, "missing; write the host that takes the mail")
		return
	}
	for j, h := range r.Host {
		if origin := append(slices.Clone(here), j); c.text().Has(origin...) {
			c.routeHost(origin, h, r)
		} else {
			c.routeHost(here, h, r)
		}
	}
}

func (c *checker) routeHost(steps []any, host string, r *Route) {
	switch {
	case filepath.IsAbs(host):
		if r.Protocol != "lmtp" {
			c.fail(steps, "a Unix socket is for LMTP; write \"protocol\": \"lmtp\"")
		}
		if r.MX {
			c.fail(at(append(steps[:3:3], "mx")...), "%s has no MX records", host)
		}
	case isAddress(host):
		if r.MX {
			c.fail(at(append(steps[:3:3], "mx")...), "%s is an address; it has no MX records", host)
		}
	default:
		if name, port, err := net.SplitHostPort(host); err == nil {
			if _, err := strconv.Atoi(port); err == nil {
				c.fail(steps, "%q has a port; write \"host\": %q, \"port\": %s", host, name, port)
				return
			}
		}
		// A name without a dot, of /etc/hosts, is a domain here as well.
		if err := checkDomain(host); err != nil {
			c.fail(steps, "%q is neither a host's name nor an address", host)
		}
	}
}

// isAddress knows addresses with brackets and without.
func isAddress(host string) bool {
	host = strings.TrimPrefix(strings.Trim(host, "[]"), "IPv6:")
	_, err := netip.ParseAddr(host)
	return err == nil
}

func (c *checker) routeDomain(r *Route, i int) {
	here := func(key string) []any { return at("Queue", "Routes", i, key) }
	if r.Name != "" {
		for j := range c.Queue.Routes[:i] {
			if c.Queue.Routes[j].Label(j) == r.Name {
				c.fail(here("name"), "Routes[%d] has this name already", j)
			}
		}
		if strings.ContainsFunc(r.Name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			c.fail(here("name"), "%q has blanks in it", r.Name)
		}
	}
	switch {
	case r.Domain == "" && r.Name == "":
		c.fail(here("domain"), `missing; write a domain, or "*" for all`)
		return
	case r.Domain == "":
		return
	}
	if !c.pattern(here("domain"), r.Domain, false) {
		return
	}
	for j := range c.Queue.Routes[:i] {
		if other := c.Queue.Routes[j].Domain; other != "" && canonicalPattern(other) == canonicalPattern(r.Domain) {
			c.fail(here("domain"), "this route is never taken: Routes[%d], for %q, comes first", j, other)
			return
		}
	}
}

// Label is what route i of the list, counted from 0, is called.
func (r *Route) Label(i int) string {
	if r.Name != "" {
		return r.Name
	}
	return strconv.Itoa(i+1) + ":" + r.Domain
}

// pattern checks the name of a domain, ".example.com" or "*".
func (c *checker) pattern(steps []any, name string, key bool) bool {
	fail := c.fail
	if key {
		fail = c.failKey
	}
	if name == "*" {
		return true
	}
	if err := checkDomain(strings.TrimPrefix(name, ".")); err != nil {
		fail(steps, "%w", err)
		return false
	}
	if c.book.IsLocal(domains.Canonical(name)) {
		fail(steps, "%s is a domain of this server; its mail does not leave", name)
		return false
	}
	return true
}

// canonicalPattern is domains.Canonical for names that may begin with a dot, or
// be "*".
func canonicalPattern(name string) string {
	if rest, ok := strings.CutPrefix(name, "."); ok {
		return "." + domains.Canonical(rest).String()
	}
	return domains.Canonical(name).String()
}
