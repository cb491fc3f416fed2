package zone

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp"
)

// The hosts of the lab. They are in a network of its own.
const (
	labHost     = "192.0.2.25"
	labHost6    = "2001:db8::25"
	labOther    = "192.0.2.26" // mail leaves from here as well
	labTop      = "192.0.2.53" // has the zones above
	labZones    = "192.0.2.54" // has everybody's zones
	labSecond   = "192.0.2.55" // has some of them as well
	labSilent   = "192.0.2.56" // nobody listens there
	labLoose    = "192.0.2.57" // a server that takes any zone
	labStranger = "192.0.2.99" // a host of somebody else's
)

func labAddresses() []string {
	return []string{labHost + "/32", labHost6 + "/128", labOther + "/32", labTop + "/32", labZones + "/32", labSecond + "/32", labSilent + "/32", labLoose + "/32", labStranger + "/32"}
}

// labCase is a domain of the lab: what it should have, and what was done to it.
type labCase struct {
	domain   string
	unsigned bool
	expired  bool              // its signatures are
	plan     func(*Plan)       // what is different in its plan
	edit     func(z *zoneText) // what is planted in the zones
	web      func(http.ResponseWriter, *http.Request, string)
	programs func(http.ResponseWriter, *http.Request, string) // what mail programs get; nil: the settings
	cert     string                                           // "expired" or "other": what the web server shows
	unnamed  bool                                             // the certificate at port 25 is not for its host
	ds       string                                           // DS record in place of the right ones
	second   func(z *zoneText)                                // what the second server has, if there is one
	want     []string                                         // "state: part of the sentence" of each fault; none on a right zone
	notes    []string                                         // the same, of notes
}

// zoneText are zones by name, each a list of lines.
type zoneText struct {
	t      *testing.T
	domain string
	zones  map[string][]string
}

// add puts a line into the domain's zone.
func (z *zoneText) add(line string) { z.zones[z.domain] = append(z.zones[z.domain], line) }

// drop takes the lines out that have a part, in all zones.
func (z *zoneText) drop(part string) { z.replace(part, nil) }

// sub changes a part of a line.
func (z *zoneText) sub(old, new string) {
	z.replace(old, func(line string) string { return strings.ReplaceAll(line, old, new) })
}

func (z *zoneText) replace(part string, change func(string) string) {
	z.t.Helper()
	n := 0
	for name, lines := range z.zones {
		var kept []string
		for _, l := range lines {
			if !strings.Contains(l, part) || !strings.Contains(l, z.domain) {
				kept = append(kept, l)
				continue
			}
			if n++; change != nil {
				kept = append(kept, change(l))
			}
		}
		z.zones[name] = kept
	}
	if n == 0 {
		z.t.Fatalf("%s: no line has %q", z.domain, part)
	}
}

// lab is a piece of the internet.
type lab struct {
	t       *testing.T
	trust   *peertest.Authority
	shown   peertest.Certificate // at port 25 of our host
	cases   []*labCase
	plans   map[string]*Plan
	checker *Checker
	zones   *peertest.NameServer
	tops    map[string]*peertest.NameServer
}

// labPlan is a plan with something of everything whose host is in the lab.
func (l *lab) labPlan(domain string) *Plan {
	p := example()
	p.Domain, p.Host = domain, "mail."+domain
	p.Addresses, p.Sending = addrs(labHost, labHost6), senders(p.Host, labHost, p.Host, labHost6, "out."+domain, labOther)
	p.OtherMX, p.SPF = []string{"backup.other.test"}, []string{"include:_spf.other.test"}
	for i := range p.Keys {
		p.Keys[i].Domain = domain
	}
	p.TLSKeys = []TLSKey{{SPKI: sha256.Sum256(l.shown.TLS.Leaf.RawSubjectPublicKeyInfo)}, {SPKI: [32]byte{2}, Next: true}}
	p.CAA[0].Name = p.Host
	p.DMARC = "none"
	p.STS = STSEnforce
	return p
}

const (
	reverse4 = "2.0.192.in-addr.arpa"
	reverse6 = "8.b.d.0.1.0.0.2.ip6.arpa"
)

// startLab serves the zones of all cases, with what is planted in them, and returns
// what their checks need.
func startLab(t *testing.T, cases []*labCase) *lab {
	l := &lab{t: t, trust: peertest.NewAuthority(t), cases: cases, plans: make(map[string]*Plan)}
	hosts := []string{"mail.lab.test", "mx.dns.our.test"}
	for _, c := range cases {
		if !c.unnamed {
			hosts = append(hosts, "mail."+c.domain, c.domain)
		}
	}
	l.shown = l.trust.Issue(t, hosts...)
	z := &zoneText{t, "", map[string][]string{
		"other.test":   {"backup.other.test. A " + labStranger, `_spf.other.test. TXT "v=spf1 ip4:192.0.2.200 -all"`, "www.other.test. CNAME backup.other.test.", "second.other.test. A " + labSecond, "silent.other.test. A " + labSilent},
		"reports.test": nil, "dns.our.test": nil, reverse4: nil, reverse6: nil,
	}}
	second := &zoneText{t, "", map[string][]string{}}
	for _, c := range cases {
		p := l.labPlan(c.domain)
		if c.plan != nil {
			c.plan(p)
		}
		l.plans[c.domain] = p
		z.zones[c.domain] = nil
		for _, r := range p.Records() {
			z.place(Line(r.RR))
		}
		z.domain = c.domain
		if c.edit != nil {
			c.edit(z)
		}
		if c.second != nil {
			z.add("@ NS second.other.test.")
			second.domain, second.zones[c.domain] = c.domain, slices.Clone(z.zones[c.domain])
			c.second(second)
		}
	}
	l.serve(z, second)
	l.listen()
	return l
}

// place puts a line into the zone that its name is in.
func (z *zoneText) place(line string) {
	name, _, _ := strings.Cut(line, " ")
	best := ""
	for zone := range z.zones {
		if dns.IsSubDomain(zone+".", name) && len(zone) > len(best) {
			best = zone
		}
	}
	if best == "" {
		z.t.Fatalf("no zone for %s", line)
	}
	if !slices.Contains(z.zones[best], line) {
		z.zones[best] = append(z.zones[best], line)
	}
}

func (l *lab) serve(z, second *zoneText) {
	unsigned, ds, loose, expired := map[string]bool{}, map[string]string{}, map[string]bool{}, map[string]bool{}
	for _, c := range l.cases {
		unsigned[c.domain], ds[c.domain] = c.unsigned || c.ds == "none", c.ds
		loose[c.domain], expired[c.domain] = c.ds == "loose", c.expired
	}
	make := func(z *zoneText, first string) (zones []peertest.Zone) {
		for _, name := range slices.Sorted(maps.Keys(z.zones)) {
			if loose[name] {
				continue
			}
			zones = append(zones, peertest.Zone{Name: name, Records: strings.Join(z.zones[name], "\n"), Unsigned: unsigned[name] || second == z})
			if expired[name] {
				zones[len(zones)-1].Signed = time.Now().Add(-30 * 24 * time.Hour)
			}
		}
		slices.SortStableFunc(zones, func(a, b peertest.Zone) int { return b2i(b.Name == first) - b2i(a.Name == first) })
		return zones
	}
	all := peertest.ServeZones(l.t, labZones+":53", &updater, make(z, "other.test")...)
	if len(second.zones) > 0 {
		peertest.ServeZones(l.t, labSecond+":53", nil, make(second, "")...)
	}
	above, loosely := all.Glue(), map[string][]string{}
	for name := range z.zones {
		switch {
		case strings.HasSuffix(name, ".arpa"):
		case loose[name]:
			above += fmt.Sprintf("%s. NS loose.test.\nloose.test. A %s\n", name, labLoose)
			loosely[name] = append(z.zones[name], "loose.test. A "+labLoose)
		case ds[name] != "":
			above += fmt.Sprintf("%s. NS ns.other.test.\n", name)
			if ds[name] != "none" {
				above += fmt.Sprintf("%s. DS %s\n", name, ds[name])
			}
		default:
			above += all.Delegation(l.t, name)
		}
	}
	if len(loosely) > 0 {
		serveLoosely(l.t, labLoose+":53", loosely)
	}
	top := peertest.ServeZones(l.t, labTop+":53", nil, peertest.Zone{Name: "test", Records: above})
	l.zones, l.tops = all, map[string]*peertest.NameServer{"test": top, reverse4: all, reverse6: all}
	l.checker = &Checker{
		Resolver: peertest.Recursor(l.t, "127.0.0.1:53", true, l.tops),
		Roots:    l.trust.Pool,
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// serveLoosely serves lines as they are, CNAMEs beside other records and beside each
// other too.
func serveLoosely(t *testing.T, address string, zones map[string][]string) {
	t.Helper()
	var records []dns.RR
	apexes := make(map[string]dns.RR)
	for zone, lines := range zones {
		for i, line := range append([]string{zone + ". 60 SOA ns postmaster 1 1 1 1 1", zone + ". NS loose.test."}, lines...) {
			rr, err := dns.NewRR("$ORIGIN " + zone + ".\n" + line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if records = append(records, rr); i == 0 {
				apexes[zone+"."] = rr
			}
		}
	}
	at := func(name string, kind uint16) (found []dns.RR) {
		for _, rr := range records {
			if strings.EqualFold(rr.Header().Name, name) && rr.Header().Rrtype == kind {
				found = append(found, rr)
			}
		}
		return found
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		a.Authoritative = true
		a.Answer = at(q.Question[0].Name, q.Question[0].Qtype)
		if len(a.Answer) == 0 {
			a.Answer = at(q.Question[0].Name, dns.TypeCNAME)
		}
		for apex, soa := range apexes {
			if len(a.Answer) == 0 && dns.IsSubDomain(apex, q.Question[0].Name) {
				a.Ns = append(a.Ns, soa)
			}
		}
		w.WriteMsg(a)
	})
	for _, network := range []string{"udp", "tcp"} {
		ready := make(chan struct{})
		s := &dns.Server{Addr: address, Net: network, Handler: handler, NotifyStartedFunc: func() { close(ready) }}
		go s.ListenAndServe()
		<-ready
		t.Cleanup(func() { s.Shutdown() })
	}
}

// listen starts what the hosts of the lab serve: policies at port 443, and TLS at
// port 25.
func (l *lab) listen() {
	byName := make(map[string]*tls.Certificate)
	cases := make(map[string]*labCase)
	for _, c := range l.cases {
		name := "mta-sts." + c.domain
		cert := l.trust.Issue(l.t, name)
		switch c.cert {
		case "expired":
			cert = l.trust.IssueUntil(l.t, time.Now().Add(-24*time.Hour), name)
		case "other":
			cert = l.trust.Issue(l.t, "www."+c.domain)
		case "stranger":
			cert = peertest.NewAuthority(l.t).Issue(l.t, name)
		}
		byName[name], cases[name] = &cert.TLS, c
		programs := l.trust.Issue(l.t, "autoconfig."+c.domain)
		byName["autoconfig."+c.domain] = &programs.TLS
	}
	web := &http.Server{
		TLSConfig: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return byName[h.ServerName], nil }},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if domain, programs := strings.CutPrefix(r.Host, "autoconfig."); programs {
				if c := cases["mta-sts."+domain]; c.programs != nil {
					c.programs(w, r, "")
					return
				}
				w.Header().Set("Content-Type", "application/xml")
				fmt.Fprintf(w, "<clientConfig><hostname>%s</hostname></clientConfig>", l.plans[domain].Host)
				return
			}
			c := cases[r.Host]
			policy := l.plans[c.domain].Policy()
			if c.web != nil {
				c.web(w, r, policy)
				return
			}
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, policy)
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	at := func(host, port string) net.Listener {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			l.t.Fatal(err)
		}
		return listener
	}
	mx := func(c *tls.Config, hosts ...string) {
		s := &smtp.Server{Hostname: "mail.lab.test", Log: slog.New(slog.DiscardHandler), TLSConfig: c}
		for _, host := range hosts {
			go s.Serve(at(host, "25"))
		}
		l.t.Cleanup(func() { s.Close() })
	}
	mx(&tls.Config{Certificates: []tls.Certificate{l.shown.TLS}}, labHost, labHost6)
	mx(&tls.Config{Certificates: []tls.Certificate{l.trust.Issue(l.t, "backup.other.test").TLS}}, labStranger)
	mx(nil, labSecond)
	for _, host := range []string{labHost, labHost6, labStranger} {
		w := at(host, "443")
		go web.ServeTLS(w, "", "")
	}
	l.t.Cleanup(func() { web.Close() })
}
