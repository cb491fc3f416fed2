package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// hosts are where the mail of a domain goes, in the order to try.
type hosts struct {
	names []string
	// secure: the list was validated with DNSSEC, the precondition for DANE
	// (RFC 7672 §2.2.1).
	secure bool
	// literal: the one name is an address.
	literal bool
	// configured: the names are an operator's, and not of the DNS.
	configured bool
}

// refusal is an error that decides the result of an attempt.
type refusal struct {
	permanent   bool
	code        int // of a reply, if there was one
	enhanced    string
	text        string
	unreachable bool
	login       bool // it is about our login, and nothing to other routes
	loop        bool // the host is this one: those not preferred to it are no way either
}

func (r *refusal) Error() string { return r.text }

func refuse(enhanced, format string, args ...any) *refusal {
	return &refusal{permanent: enhanced[0] == '5', enhanced: enhanced, text: fmt.Sprintf(format, args...)}
}

// findHosts finds the mail exchangers of a domain (RFC 5321 §5.1). Its errors
// are refusals.
func (r *Relay) findHosts(ctx context.Context, domain string) (hosts, error) {
	if strings.HasPrefix(domain, "[") {
		if _, err := parseLiteral(domain); err != nil {
			return hosts{}, refuse("5.1.2", "%s is not an address literal", domain)
		}
		return hosts{names: []string{domain}, literal: true}, nil
	}
	name := domains.Canonical(domain).String()
	if !isASCII(name) {
		return hosts{}, refuse("5.1.2", "%s is not a domain name", domain)
	}
	answer, err := r.Resolver.MX(ctx, name)
	switch {
	case errors.Is(err, resolver.ErrNoName):
		return hosts{}, refuse("5.1.2", "domain %s does not exist", domain)
	case err != nil:
		return hosts{}, refuse("4.4.3", "%v", err)
	case len(answer.Records) == 0:
		// No MX: the domain itself, with preference 0. A CNAME was followed
		// by the resolver, and will be for the address.
		if r.isOwnName(name) {
			return hosts{}, refuse("5.4.6", "mail for %s loops: the domain is this host", domain)
		}
		return hosts{names: []string{name}, secure: answer.Secure}, nil
	}
	return r.sortMX(domain, answer)
}

// sortMX sorts by preference, hosts of the same one in a random order, so that
// they share the load. Where we are among the hosts, those not preferred to us
// are where the mail would come from.
func (r *Relay) sortMX(domain string, answer resolver.Answer[resolver.MX]) (hosts, error) {
	mx := slices.Clone(answer.Records)
	mx = slices.DeleteFunc(mx, func(m resolver.MX) bool { return m.Host == "" })
	if len(mx) == 0 {
		// RFC 7505 §3 and §4.
		return hosts{}, refuse("5.1.10", "domain %s does not accept mail (null MX)", domain)
	}
	rand.Shuffle(len(mx), func(i, j int) { mx[i], mx[j] = mx[j], mx[i] })
	slices.SortStableFunc(mx, func(a, b resolver.MX) int { return int(a.Preference) - int(b.Preference) })
	for i, m := range mx {
		if r.isOwnName(m.Host) {
			mx = slices.DeleteFunc(mx[:i], func(b resolver.MX) bool { return b.Preference == m.Preference })
			if len(mx) == 0 {
				return hosts{}, refuse("5.4.6", "mail for %s loops: its mail exchanger %s is this host", domain, m.Host)
			}
			break
		}
	}
	h := hosts{secure: answer.Secure}
	for _, m := range mx {
		if name := strings.ToLower(m.Host); !slices.Contains(h.names, name) {
			h.names = append(h.names, name)
		}
		if len(h.names) == maxHosts {
			break // there may be thousands
		}
	}
	return h, nil
}

func (r *Relay) isOwnName(host string) bool {
	return slices.ContainsFunc(append([]string{r.Hostname}, r.OwnNames...), func(own string) bool {
		return own != "" && strings.EqualFold(strings.TrimSuffix(own, "."), host)
	})
}

// target is one address of one host.
type target struct {
	host string // as in the MX record; of an address literal, the address
	name string // the host's name behind its CNAMEs
	addr netip.AddrPort
	// secure: the addresses were validated with DNSSEC (RFC 7672 §2.2.2);
	// mxSecure: so was the list of hosts.
	secure, mxSecure bool
	literal          bool
	socket           string // a Unix socket, instead of addr
}

func (t target) String() string {
	if t.socket != "" {
		return t.socket
	}
	if t.literal {
		return t.addr.String()
	}
	return fmt.Sprintf("%s [%s]:%d", t.host, t.addr.Addr(), t.addr.Port())
}

// addresses returns the addresses of one host in the order to try: IPv6 before
// IPv4 in turn, so that a broken family costs one attempt and not all.
func (r *Relay) addresses(ctx context.Context, h hosts, host string, port uint16) ([]target, error) {
	if h.literal || strings.HasPrefix(host, "[") {
		addr, err := parseLiteral(host)
		if err != nil {
			return nil, refuse("5.1.2", "%s is not an address literal", host)
		}
		if addr = addr.Unmap(); r.isOwnAddr(addr, port) || !h.configured && isThisHost(addr, port) {
			return nil, loops(addr.String())
		}
		return []target{{host: addr.String(), name: addr.String(), addr: netip.AddrPortFrom(addr, port), literal: true}}, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && r.isRouteHost(host) {
		return []target{{host: host, name: host, addr: netip.AddrPortFrom(addr, port), literal: true}}, nil
	}
	answer, err := r.Resolver.Addr(ctx, host)
	if errors.Is(err, resolver.ErrNoName) || err == nil && len(answer.Records) == 0 {
		return nil, refuse("5.4.4", "host %s has no address", host)
	}
	if err != nil {
		return nil, refuse("4.4.3", "%v", err)
	}
	var targets []target
	for _, addr := range interleave(answer.Records) {
		if !h.configured && isThisHost(addr, port) || r.isOwnAddr(addr, port) {
			if h.configured {
				continue
			}
			// One of its addresses is enough: the others may be ours as well, or
			// those of a host that would send the mail here.
			return nil, loops(host)
		}
		targets = append(targets, target{host: host, name: answer.Name, addr: netip.AddrPortFrom(addr, port), secure: answer.Secure, mxSecure: h.secure})
	}
	if len(targets) == 0 {
		return nil, loops(host)
	}
	if r.PreferIPv4 && slices.ContainsFunc(targets, isIPv4) {
		targets = slices.DeleteFunc(targets, func(t target) bool { return !isIPv4(t) })
	}
	return targets, nil
}

func isIPv4(t target) bool { return t.addr.Addr().Is4() }

func loops(host string) *refusal {
	r := refuse("5.4.6", "mail loops: host %s is this host", host)
	r.loop = true
	return r
}

// isOwnAddr: who takes mail at the loopback address takes it at all of its kind.
func (r *Relay) isOwnAddr(addr netip.Addr, port uint16) bool {
	return port == r.port() && slices.ContainsFunc(r.OwnAddrs, func(own netip.Addr) bool {
		return own.Unmap() == addr || own.IsLoopback() && addr.IsLoopback()
	})
}

// isThisHost knows the addresses that are this host's on every host. A stranger
// who has them in his DNS would have us talk to ourselves, as somebody who is
// trusted.
func isThisHost(addr netip.Addr, port uint16) bool {
	return addr.IsUnspecified() || port == defaultPort && (addr == netip.IPv6Loopback() || addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

// interleave shuffles, then takes an IPv6 and an IPv4 address in turn.
func interleave(all []netip.Addr) []netip.Addr {
	var four, six, out []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	rand.Shuffle(len(four), func(i, j int) { four[i], four[j] = four[j], four[i] })
	rand.Shuffle(len(six), func(i, j int) { six[i], six[j] = six[j], six[i] })
	for len(four)+len(six) > 0 {
		if len(six) > 0 {
			out, six = append(out, six[0]), six[1:]
		}
		if len(four) > 0 {
			out, four = append(out, four[0]), four[1:]
		}
	}
	return out
}

// parseLiteral reads "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3).
func parseLiteral(s string) (netip.Addr, error) {
	inner, ok := strings.CutPrefix(s, "[")
	inner, ok2 := strings.CutSuffix(inner, "]")
	if !ok || !ok2 {
		return netip.Addr{}, errors.New("no brackets")
	}
	v6 := len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:")
	if v6 {
		inner = inner[5:]
	}
	addr, err := netip.ParseAddr(inner)
	if err == nil && (addr.Is6() != v6 || addr.Zone() != "") {
		err = errors.New("wrong family")
	}
	return addr, err
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// maxText is how much is kept of what a host says: for each recipient, for as
// long as the message waits.
const maxText = 2000

func shortened(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "..."
}

// result is what a refusal means for a recipient.
func (r *refusal) result() queue.Result {
	res := queue.Result{Status: queue.Pending, Code: r.code, Enhanced: r.enhanced, Text: shortened(r.text), Unreachable: r.unreachable}
	if r.permanent {
		res.Status = queue.Failed
	}
	return res
}
