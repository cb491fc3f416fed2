package zone

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/sys"
)

// host looks at the server's own addresses, both ways.
func (k *checking) host() {
	p := k.plan
	have := k.addresses(p.Host)
	for _, a := range have {
		if len(p.Addresses) > 0 && !slices.Contains(p.Addresses, a) {
			k.say(p.Host, typeOf(a), Dangerous, "it leads to %s as well, which is no address of this server: part of the mail goes there", a)
		}
	}
	if len(p.Addresses) > 0 && slices.Equal(union(have), union(p.Addresses)) {
		k.say(p.Host, dns.TypeA, OK, "it leads here: %s", join(p.Addresses))
	}
	for _, a := range p.Addresses {
		if !slices.Contains(have, a) && k.reachableName(p.Host) {
			k.say(p.Host, typeOf(a), Missing, "it does not lead to %s, which is an address of this server", a)
		}
	}
	if len(p.Addresses) == 0 {
		k.say(p.Host, dns.TypeA, Note, `what the addresses of this server are on the internet is not known here ("Queue": {"own_addresses": …}); it leads to %s`, orNone(join(have)))
	}
	for _, name := range p.hellos() {
		have := k.addresses(name)
		for _, a := range p.sendersAs(name) {
			if !slices.Contains(have, a) && k.reachableName(name) {
				k.say(name, typeOf(a), Missing, "it does not lead to %s, where mail leaves from under this name", a)
			}
		}
	}
	var seen []netip.Addr
	for _, from := range p.senders() {
		if !slices.Contains(seen, from.Address) {
			seen = append(seen, from.Address)
			k.reverse(from)
		}
	}
}

// reachableName reports whether the servers of a name's zone could be asked.
func (k *checking) reachableName(name string) bool {
	return !k.asker.look(k.ctx, name, dns.TypeA).nobody
}

// addresses are the addresses that a host's own zone gives it. A CNAME is a fault: no
// MX, and nothing that mail is sent from, may be one.
func (k *checking) addresses(name string) (all []netip.Addr) {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		v, ok := k.see(name, kind)
		if len(v.leads) > 0 {
			k.say(name, dns.TypeCNAME, Dangerous, "it is a CNAME, leading to %s; a name that mail is sent to or from must have addresses itself (RFC 2181 §10.3, RFC 5321 §5.1)", trim(v.name))
		}
		if v.wild {
			k.say(name, kind, Missing, "a wildcard answers for it with %s, and %s itself is not there", values(v.records), name)
		}
		if ok && !v.wild {
			all = append(all, ipsOf(v.records, "")...)
		}
	}
	return all
}

func typeOf(a netip.Addr) uint16 {
	if a.Unmap().Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

// reverse looks whether an address has a name, and that name the address.
func (k *checking) reverse(from Sender) {
	a := from.Address
	name, err := dns.ReverseAddr(a.String())
	if err != nil {
		return
	}
	m, err := k.recurse(k.ctx, name, dns.TypePTR)
	if err != nil {
		k.say(name, dns.TypePTR, Unknown, "%v", err)
		return
	}
	var names []string
	for _, rr := range m.Answer {
		if ptr, ok := rr.(*dns.PTR); ok {
			names = append(names, trim(dns.CanonicalName(ptr.Ptr)))
		}
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		k.say(name, dns.TypePTR, Missing, "%s, which mail leaves from, has no name, and large providers refuse mail from such addresses; whoever gave you the address sets it to %s%s", a, from.Hello, meanwhile(a))
	case !slices.ContainsFunc(names, func(n string) bool { return k.confirms(n, a) }):
		k.say(name, dns.TypePTR, Differs, "%s has the name %s, and that does not lead back to it, so it counts as having none; it should be %s", a, strings.Join(names, " and "), from.Hello)
	case !slices.Contains(names, from.Hello):
		k.say(name, dns.TypePTR, Note, "%s has the name %s, and the server calls itself %s; some like it better when both are the same", a, strings.Join(names, " and "), from.Hello)
	default:
		k.say(name, dns.TypePTR, OK, "%s has the server's name, and that leads back to it", a)
	}
}

// confirms reports whether a name leads to an address, as others see it.
func (k *checking) confirms(name string, a netip.Addr) bool {
	m, err := k.recurse(k.ctx, name, typeOf(a))
	return err == nil && slices.Contains(ipsOf(m.Answer, ""), a)
}

// exchangers looks where mail for the domain goes.
func (k *checking) exchangers() {
	p := k.plan
	v, ok := k.see(p.Domain, dns.TypeMX)
	if !ok {
		return
	}
	if v.wild {
		k.say(p.Domain, dns.TypeMX, Missing, "a wildcard answers for it with %s, and %s itself has no MX", values(v.records), p.Domain)
		return
	}
	if len(v.records) == 0 {
		k.say(p.Domain, dns.TypeMX, Missing, "there is no MX record; it should be %q", "10 "+p.Host+".")
		return
	}
	best, ours := uint16(65535), uint16(65535)
	var names []string
	for _, rr := range v.records {
		mx, ok := rr.(*dns.MX)
		if !ok {
			continue
		}
		name := trim(dns.CanonicalName(mx.Mx))
		names = append(names, name)
		best = min(best, mx.Preference)
		if name == p.Host {
			ours = min(ours, mx.Preference)
			continue
		}
		k.otherExchanger(name, mx)
	}
	switch {
	case !slices.Contains(names, p.Host):
		k.say(p.Domain, dns.TypeMX, Differs, "mail for the domain goes to %s, and not to %s", strings.Join(names, " and "), p.Host)
	case ours > best:
		k.say(p.Domain, dns.TypeMX, Differs, "others than %s stand before it, and get the mail first", p.Host)
	default:
		k.say(p.Domain, dns.TypeMX, OK, "mail for the domain comes here")
	}
	for _, other := range p.OtherMX {
		if !slices.Contains(names, other) {
			k.say(p.Domain, dns.TypeMX, Missing, "%s is not among the MX records, although \"other_mx\" names it", other)
		}
	}
}

// otherExchanger looks at an MX record that leads to another host.
func (k *checking) otherExchanger(name string, mx *dns.MX) {
	_, err := netip.ParseAddr(name)
	switch {
	case name == "":
		k.say(k.plan.Domain, dns.TypeMX, Dangerous, "\"MX %d .\" says that the domain takes no mail at all (RFC 7505)", mx.Preference)
	case err == nil:
		k.say(k.plan.Domain, dns.TypeMX, Dangerous, "\"MX %d %s\" is an address; an MX record has the name of a host", mx.Preference, name)
	case !slices.Contains(k.plan.OtherMX, name):
		k.say(k.plan.Domain, dns.TypeMX, Differs, `mail for the domain goes to %s as well, which "DNS": {"other_mx": …} does not name`, name)
		fallthrough
	default:
		m4, err4 := k.recurse(k.ctx, name, dns.TypeA)
		m6, err6 := k.recurse(k.ctx, name, dns.TypeAAAA)
		if err4 == nil && err6 == nil && len(ipsOf(append(m4.Answer, m6.Answer...), "")) == 0 {
			k.say(k.plan.Domain, dns.TypeMX, Dangerous, "the MX %s has no address", name)
		}
		if err4 == nil && alias(m4, dns.CanonicalName(name)) != "" {
			k.say(name, dns.TypeCNAME, Dangerous, "the MX %s is a CNAME, which it must not be (RFC 2181 §10.3)", name)
		}
	}
}

// union is a list of addresses in one order, each once.
func union(addrs []netip.Addr) []netip.Addr {
	all := slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare)
	return slices.Compact(all)
}

func join(addrs []netip.Addr) string {
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return strings.Join(all, ", ")
}

// reachableFamily reports whether an error is not for want of a way to any address of
// its family.
func reachableFamily(err error) bool {
	return !errors.Is(err, sys.NetUnreachable) && !errors.Is(err, sys.FamilyUnknown) && !errors.Is(err, sys.AddrNotAvail)
}

func uitoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func joinSorted(all []string) string {
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// meanwhile is what helps until an address has its name.
func meanwhile(a netip.Addr) string {
	if a.Is4() {
		return ""
	}
	return `; until then, "Queue": {"prefer_ipv4": true} sends by IPv4 where that is possible`
}
