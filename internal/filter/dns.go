package filter

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// What rules ask the DNS about a client: his name, the domain of a sender, lists. Each is asked once a session, within what strangers may
// have asked.

// How long the DNS is waited for, for one rule's question.
const patience = 8 * time.Second

func (v *visit) dns() (context.Context, verify.Resolver, context.CancelFunc) {
	ctx, dns := v.f.Verifier.DNS(v.ctx, v.s.RemoteAddr)
	ctx, stop := context.WithTimeout(ctx, patience)
	return ctx, dns, stop
}

// reverse is what the DNS says of the client's address.
type reverse struct {
	names             []string
	known             bool
	words, knownWords rules.Words
}

// mostNames is how many names of one address are looked at.
const mostNames = 10

// stranger reports whether the client is somebody in the world of whom the DNS may be asked.
func (v *visit) stranger() bool {
	a := v.Addr(rules.IP)
	return a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// back looks the client up, once.
func (v *visit) back() *reverse {
	if v.reverse != nil {
		return v.reverse
	}
	r := &reverse{}
	if !v.Addr(rules.IP).IsValid() {
		return r
	}
	v.reverse = r
	ctx, dns, stop := v.dns()
	defer stop()
	addr := v.Addr(rules.IP)
	family := "ip6"
	if addr.Is4() {
		family = "ip4"
	}
	names, err := dns.LookupAddr(ctx, addr.String())
	if err != nil && !notFound(err) {
		return r
	}
	if len(names) == 0 {
		r.known, r.words, r.knownWords = true, rules.Word(rules.Host, "nodns"), rules.AllWords(rules.Host)
		return r
	}
	r.words |= rules.Word(rules.Host, "exists")
	sure := true
	for _, name := range names[:min(len(names), mostNames)] {
		found, err := dns.LookupNetIP(ctx, family, strings.TrimSuffix(name, ".")+".")
		switch {
		case err != nil && !notFound(err):
			sure = false
		case len(found) == 0:
			r.words |= rules.Word(rules.Host, "noforward")
		case slices.ContainsFunc(found, func(a netip.Addr) bool { return a.Unmap() == addr }):
			r.names = append(r.names, domains.Canonical(name).String())
		default:
			r.words |= rules.Word(rules.Host, "inconsistent")
		}
	}
	r.known = sure || len(r.names) > 0
	r.knownWords = rules.Word(rules.Host, "nodns", "exists") | r.words
	if sure {
		r.knownWords = rules.AllWords(rules.Host)
		if len(r.names) > 0 && r.words&rules.Word(rules.Host, "noforward", "inconsistent") == 0 {
			r.words |= rules.Word(rules.Host, "good")
		}
	}
	return r
}

func notFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// domain says whether mail for a domain could go anywhere: its MX, or its address where it has none
// (RFC 5321 §5.1). The null MX says that it could not (RFC 7505).
func (v *visit) domain(name domains.Name) rules.Words {
	if known, ok := v.domains[name]; ok {
		return known
	}
	word := v.lookUp(name)
	if v.domains == nil {
		v.domains = make(map[domains.Name]rules.Words)
	}
	v.domains[name] = rules.Word(rules.From, word)
	return v.domains[name]
}

// mostMX is how many hosts of a domain are looked at.
const mostMX = 5

func (v *visit) lookUp(name domains.Name) string {
	ctx, dns, stop := v.dns()
	defer stop()
	hosts := []string{name.String() + "."}
	mx, err := dns.LookupMX(ctx, name.String()+".")
	switch {
	case err != nil && !notFound(err):
		return "unknown"
	case len(mx) > 0:
		hosts = hosts[:0]
		for _, m := range mx[:min(len(mx), mostMX)] {
			if host := strings.TrimSuffix(m.Host, "."); host == "" || strings.EqualFold(host, "localhost") {
				return "baddom"
			}
			hosts = append(hosts, m.Host)
		}
	}
	trouble := false
	for _, host := range hosts {
		found, err := dns.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+".")
		trouble = trouble || err != nil && !notFound(err)
		if slices.ContainsFunc(found, func(a netip.Addr) bool { return a.Unmap().IsGlobalUnicast() && !a.Unmap().IsPrivate() }) {
			return "resolves"
		}
	}
	if trouble {
		return "unknown"
	}
	return "baddom"
}

// mostAsked is how many questions of DNS lists one session may cause.
const mostAsked = 100

// Listed implements rules.Facts. Lists judge strangers: those who are trusted are in none, nor is an address that the world
// does not have.
func (v *visit) Listed(list string, f rules.Fact) (listed, known bool) {
	if v.trusted || v.s.User != "" || !v.stranger() {
		return false, true
	}
	var names []string
	switch f {
	case rules.IP:
		names = []string{v.Addr(rules.IP).String()}
	case rules.From:
		if v.from == nil {
			return false, false
		}
		if i := strings.LastIndexByte(*v.from, '@'); i >= 0 {
			names = []string{(*v.from)[i+1:]}
		}
	default:
		if names, known = v.Texts(f, ""); !known {
			return false, false
		}
	}
	known = true
	for _, name := range names {
		switch v.entry(list, name) {
		case "listed":
			return true, true
		case "error":
			known = false
		}
	}
	return false, known
}

// entry is what a DNS list says of the client's address or a name: "listed", "clear", or "error" where it
// has said nothing.
func (v *visit) entry(zone, of string) (answer string) {
	question := of + " " + zone
	if answer, ok := v.listed[question]; ok {
		return answer
	}
	if len(v.listed) >= mostAsked {
		return "error"
	}
	ctx, dns, stop := v.dns()
	defer stop()
	var codes []netip.Addr
	var err error
	if addr := v.Addr(rules.IP); of == addr.String() {
		codes, err = (&dnslist.List{Zone: zone}).Address(ctx, dns, addr)
	} else {
		codes, err = (&dnslist.List{Zone: zone, Domains: true}).Domain(ctx, dns, of)
	}
	switch {
	case err != nil:
		answer = "error"
	case len(codes) > 0:
		answer = "listed"
	default:
		answer = "clear"
	}
	if v.listed == nil {
		v.listed = make(map[string]string)
	}
	v.listed[question] = answer
	return answer
}
