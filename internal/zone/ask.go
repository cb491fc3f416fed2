package zone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// asker asks a resolver and the zones' own servers, and remembers what they said.
// It is for one check. Only ask may be called by several goroutines, since a
// connection that was given up may still be looking for its host.
type asker struct {
	resolver string
	zones    map[string]*apex // by name asked about, absolute

	mu   sync.Mutex
	dead map[string]error // servers that did not answer
	said map[string]*dns.Msg
}

// apex is a zone and who serves it.
type apex struct {
	name    string
	servers []server
	err     error // why there are none
}

type server struct{ name, address string }

func (s server) String() string { return trim(s.name) + " (" + host(s.address) + ")" }

func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

func newAsker(resolver string) *asker {
	return &asker{resolver: resolver, zones: make(map[string]*apex), dead: make(map[string]error), said: make(map[string]*dns.Msg)}
}

const (
	patience = 3 * time.Second  // how long one server is waited for
	dialTime = 10 * time.Second // how long a connection may take
)

// ask sends one question to a server, over TCP where the answer needs it. A server
// that has not answered is not asked again.
func (a *asker) ask(ctx context.Context, server, name string, kind uint16, recursive bool) (*dns.Msg, error) {
	name = dns.CanonicalName(name)
	key := fmt.Sprintf("%s %s %d", server, name, kind)
	a.mu.Lock()
	m, err := a.said[key], a.dead[server]
	a.mu.Unlock()
	if m != nil || err != nil {
		return m, err
	}
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	q.RecursionDesired = recursive
	q.AuthenticatedData = recursive // tell whether it was validated (RFC 6840 §5.7)
	q.SetEdns0(1232, false)
	m, err = exchange(ctx, q, server)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.said[key] = m
	} else if ctx.Err() == nil {
		a.dead[server] = err
	}
	return m, err
}

// exchange asks by UDP, twice, and by TCP where that does not do.
func exchange(ctx context.Context, q *dns.Msg, server string) (m *dns.Msg, err error) {
	for _, network := range []string{"udp", "udp", "tcp"} {
		c := &dns.Client{Net: network, Timeout: patience}
		m, _, err = c.ExchangeContext(ctx, q, server)
		if err == nil && !m.Truncated {
			return m, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if err == nil {
		err = errors.New("its answer is cut off")
	}
	return nil, err
}

// recurse asks the resolver.
func (a *asker) recurse(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	m, err := a.ask(ctx, a.resolver, name, kind, true)
	if err != nil {
		return nil, fmt.Errorf("the resolver %s does not answer: %w", a.resolver, err)
	}
	return m, nil
}

// zone finds the zone that a name is in, and its servers, by asking the resolver.
func (a *asker) zone(ctx context.Context, name string) *apex {
	name = dns.CanonicalName(name)
	if z := a.zones[name]; z != nil {
		return z
	}
	z := a.findZone(ctx, name)
	a.zones[name] = z
	return z
}

func (a *asker) findZone(ctx context.Context, name string) *apex {
	m, err := a.recurse(ctx, name, dns.TypeSOA)
	if err != nil {
		return &apex{name: name, err: err}
	}
	for _, rr := range append(slices.Clone(m.Ns), m.Answer...) {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, name) && soa.Hdr.Name != "." {
			return a.serversOf(ctx, dns.CanonicalName(soa.Hdr.Name))
		}
	}
	// The zone may be broken, or the name's CNAME lead into one that is: look at
	// the name above.
	if off, end := dns.NextLabel(name, 0); !end && dns.CountLabel(name) > 1 {
		above := a.zone(ctx, name[off:])
		if m.Rcode == dns.RcodeServerFailure && above.err == nil && alias(m, name) == "" {
			return a.broken(ctx, name, above)
		}
		return above
	}
	return &apex{name: name, err: fmt.Errorf("the resolver finds no zone for %s: %s", trim(name), dns.RcodeToString[m.Rcode])}
}

// broken is a zone whose answers the resolver refuses: its servers may be asked all
// the same, if the zone above names them.
func (a *asker) broken(ctx context.Context, name string, above *apex) *apex {
	for _, s := range above.servers {
		m, err := a.ask(ctx, s.address, name, dns.TypeNS, false)
		if err != nil {
			continue
		}
		for _, rr := range append(slices.Clone(m.Ns), m.Answer...) {
			if ns, ok := rr.(*dns.NS); ok && dns.CanonicalName(ns.Hdr.Name) != above.name && dns.IsSubDomain(ns.Hdr.Name, name) {
				z := &apex{name: dns.CanonicalName(ns.Hdr.Name)}
				z.servers = a.addressesOf(ctx, append(m.Ns, m.Answer...), m.Extra)
				return z
			}
		}
	}
	return above
}

func (a *asker) serversOf(ctx context.Context, zone string) *apex {
	z := &apex{name: zone}
	m, err := a.recurse(ctx, zone, dns.TypeNS)
	if err != nil {
		z.err = err
		return z
	}
	z.servers = a.addressesOf(ctx, m.Answer, m.Extra)
	if len(z.servers) == 0 {
		z.err = fmt.Errorf("no server of the zone %s has an address", trim(zone))
	}
	return z
}

// addressesOf are the addresses of the servers that NS records name.
func (a *asker) addressesOf(ctx context.Context, records, extra []dns.RR) (all []server) {
	for _, rr := range records {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			var found []dns.RR
			if m, err := a.recurse(ctx, ns.Ns, kind); err == nil {
				found = m.Answer
			}
			if len(found) == 0 {
				found = extra
			}
			for _, ip := range ipsOf(found, ns.Ns) {
				all = append(all, server{ns.Ns, net.JoinHostPort(ip.String(), "53")})
			}
		}
	}
	slices.SortFunc(all, func(x, y server) int { return strings.Compare(x.name+x.address, y.name+y.address) })
	return slices.Compact(all)
}

// ipsOf are the addresses among records; those of one name, unless it is "".
func ipsOf(records []dns.RR, name string) (all []netip.Addr) {
	for _, rr := range records {
		if name != "" && !strings.EqualFold(rr.Header().Name, name) {
			continue
		}
		switch r := rr.(type) {
		case *dns.A:
			if ip, ok := netip.AddrFromSlice(r.A.To4()); ok {
				all = append(all, ip)
			}
		case *dns.AAAA:
			if ip, ok := netip.AddrFromSlice(r.AAAA); ok {
				all = append(all, ip)
			}
		}
	}
	return all
}

// view is what a zone's own servers have at a name of one type.
type view struct {
	name    string // where the records are: behind all CNAMEs
	zone    *apex
	records []dns.RR
	exists  bool     // the name does, whatever its types
	wild    bool     // a wildcard gives them
	leads   []string // the names of the CNAMEs on the way
	faults  []string // of the way and of the servers, in words
	nobody  bool     // no server answered
}

// look asks every server of a name's zone and follows CNAMEs, into other zones as well.
func (a *asker) look(ctx context.Context, name string, kind uint16) *view {
	v := &view{name: dns.CanonicalName(name)}
	for range mostLeads {
		target := a.lookOnce(ctx, v, kind)
		if target == "" {
			return v
		}
		v.leads = append(v.leads, v.name)
		if slices.Contains(v.leads, target) {
			v.faults = append(v.faults, fmt.Sprintf("the CNAMEs at %s lead round in a circle", trim(name)))
			return v
		}
		v.name = target
	}
	v.faults = append(v.faults, fmt.Sprintf("more than %d CNAMEs lead on from %s", mostLeads, trim(name)))
	return v
}

// lookOnce asks the servers at the view's present name, and returns where a CNAME
// leads that is there instead.
func (a *asker) lookOnce(ctx context.Context, v *view, kind uint16) (target string) {
	v.zone = a.zone(ctx, v.name)
	v.records, v.exists, v.wild, v.nobody = nil, false, false, true
	if v.zone.err != nil {
		v.faults = append(v.faults, v.zone.err.Error())
		return ""
	}
	var first *dns.Msg
	var from server
	for _, s := range v.zone.servers {
		m, err := a.ask(ctx, s.address, v.name, kind, false)
		if err != nil || !m.Authoritative {
			continue // the zone's own findings have it
		}
		if first == nil {
			first, from = m, s
			continue
		}
		if x, y := shown(first, v.name, kind), shown(m, v.name, kind); x != y {
			v.faults = append(v.faults, fmt.Sprintf("the servers of %s do not agree on %s: %s has %s, and %s has %s", trim(v.zone.name), trim(v.name), from, orNone(x), s, orNone(y)))
		}
	}
	if first == nil {
		return ""
	}
	v.nobody = false
	v.exists = first.Rcode == dns.RcodeSuccess
	v.records = atName(first, v.name, kind)
	if n := len(atName(first, v.name, dns.TypeCNAME)); n > 1 {
		v.faults = append(v.faults, fmt.Sprintf("%s has %d CNAMEs, %s, and may have one only (RFC 1034 §3.6.2)", trim(v.name), n, values(atName(first, v.name, dns.TypeCNAME))))
		return ""
	}
	if t := alias(first, v.name); t != "" && kind != dns.TypeCNAME {
		if len(v.records) > 0 {
			v.faults = append(v.faults, fmt.Sprintf("%s has a CNAME and other records beside it, and which of them others see is chance (RFC 1034 §3.6.2)", trim(v.name)))
			return ""
		}
		if a.isWild(ctx, v, from, dns.TypeCNAME, t) {
			v.exists, v.wild = false, true
			return ""
		}
		return dns.CanonicalName(t)
	}
	if c := a.beside(ctx, v, from, kind); c != "" {
		v.faults = append(v.faults, c)
	}
	v.wild = len(v.records) > 0 && a.isWild(ctx, v, from, kind, values(v.records))
	return ""
}

// beside says that a CNAME stands beside other records, which some servers allow.
func (a *asker) beside(ctx context.Context, v *view, from server, kind uint16) string {
	if len(v.records) == 0 || kind == dns.TypeCNAME {
		return ""
	}
	m, err := a.ask(ctx, from.address, v.name, dns.TypeCNAME, false)
	if err != nil || alias(m, v.name) == "" {
		return ""
	}
	return fmt.Sprintf("%s has a CNAME to %s beside its %s, and which of them others see is chance (RFC 1034 §3.6.2)", trim(v.name), trim(alias(m, v.name)), dns.TypeToString[kind])
}

// isWild reports whether a name beside this one, which nobody has made, shows the
// same.
func (a *asker) isWild(ctx context.Context, v *view, from server, kind uint16, same string) bool {
	off, end := dns.NextLabel(v.name, 0)
	if end || !dns.IsSubDomain(v.zone.name, v.name[off:]) {
		return false
	}
	random := strings.ToLower(rand.Text()[:16]) + "." + v.name[off:]
	m, err := a.ask(ctx, from.address, random, kind, false)
	if err != nil {
		return false
	}
	records := atName(m, random, kind)
	if kind == dns.TypeCNAME {
		return alias(m, random) == same
	}
	return len(records) > 0 && values(records) == same
}

// shown is what an answer has at a name, for comparing.
func shown(m *dns.Msg, name string, kind uint16) string {
	if t := alias(m, name); t != "" {
		return "CNAME " + trim(dns.CanonicalName(t))
	}
	return values(atName(m, name, kind))
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
