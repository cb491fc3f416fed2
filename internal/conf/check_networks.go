package conf

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// Networks that may do what a stranger may not are added up: two halves of the
// internet are no less open than all of it.

// A family is one of the two kinds of addresses. Both sizes are lengths of
// prefixes: networks that together are larger than a prefix of most bits are
// refused, and those as large as one of note bits are worth a word.
type family struct {
	name       string
	v4         bool
	most, note int
}

func families() []family {
	return []family{{"IPv4", true, 8, 16}, {"IPv6", false, 20, 32}}
}

// notPublic returns the networks that the internet does not route: hosts in
// them are in the house, or at the provider's (RFC 6890).
func notPublic() (nets []netip.Prefix) {
	for _, text := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/3", "::/8", "100::/64", "2001:db8::/32", "fc00::/7", "fe80::/10", "ff00::/8"} {
		nets = append(nets, netip.MustParsePrefix(text))
	}
	return nets
}

// trusted refuses networks that together are a large part of the internet; harm
// says what would come of it.
func (c *checker) trusted(steps []any, nets []netip.Prefix, harm string) {
	for _, f := range families() {
		tooLarge := func(nets ...netip.Prefix) bool { return f.public(nets) > f.size(f.most) }
		if !tooLarge(nets...) {
			continue
		}
		where := steps
		if i := slices.IndexFunc(nets, func(p netip.Prefix) bool { return tooLarge(p) }); i >= 0 {
			where = append(slices.Clone(steps), i)
		}
		c.fail(where, "%s; %s", f.words(f.public(nets)), harm)
	}
}

// adviseTrusted notes networks that hold many hosts.
func (c *checker) adviseTrusted(steps []any, nets []netip.Prefix) {
	for _, f := range families() {
		if share := f.public(nets); share >= f.size(f.note) {
			c.fail(steps, "%s; are all these hosts yours?", f.words(share))
		}
	}
}

// eachTrust calls f for every list of networks whose hosts may do what a
// stranger may not, and the harm if strangers could.
func (c *checker) eachTrust(f func(steps []any, nets []netip.Prefix, harm string)) {
	const claim = "anybody could claim any address"
	f(at("SMTP", "relay_from"), c.SMTP.RelayFrom, "this would be an open relay")
	f(at("SMTP", "xclient_from"), c.SMTP.XclientFrom, claim)
	f(at("POP3", "xclient_from"), c.POP3.XclientFrom, claim)
	f(at("SMTP", "normalise_from"), c.SMTP.NormaliseFrom, "messages could be smuggled in")
	f(at("Web", "proxy_from"), c.Web.ProxyFrom, claim)
	f(at("Web", "status_from"), c.Web.StatusFrom, "anybody could see how much mail comes and goes")
	for i, l := range c.Listeners {
		f(at("Listeners", i, "proxy_from"), l.ProxyFrom, claim)
	}
}

// size is the share of the family's addresses that a prefix of this length has.
func (family) size(bits int) float64 { return math.Ldexp(1, -bits) }

// public is the share of the family's addresses that nets have, those left out
// that are not public: what both have together, less what is not public.
func (f family) public(nets []netip.Prefix) float64 {
	private := notPublic()
	return f.union(slices.Concat(private, nets)) - f.union(private)
}

// union is the share of the family's addresses that nets have together. Of two
// prefixes one holds the other, or they have nothing in common.
func (f family) union(nets []netip.Prefix) (share float64) {
	for i, p := range nets {
		held := slices.ContainsFunc(nets[:i], func(q netip.Prefix) bool { return holds(q, p) }) ||
			slices.ContainsFunc(nets[i+1:], func(q netip.Prefix) bool { return holds(q, p) && q != p })
		if p.IsValid() && p.Addr().Is4() == f.v4 && !held {
			share += f.size(p.Bits())
		}
	}
	return share
}

// holds reports whether all of p is in q.
func holds(q, p netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }

func (f family) words(share float64) string {
	bits := int(math.Floor(-math.Log2(share)))
	if bits < 1 {
		return "most of the internet is in here (" + f.name + ")"
	}
	return fmt.Sprintf("there are as many public addresses in here as in a /%d (%s)", bits, f.name)
}
