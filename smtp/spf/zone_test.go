package spf_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp/spf"
)

// zone is a DNS in memory. Keys are in lower case, with a dot at the end.
type zone struct {
	txt    map[string][]string
	ip     map[string][]netip.Addr
	mx     map[string][]string
	ptr    map[string][]string // by address or by its name in the DNS
	cname  map[string]string
	broken map[string]bool // what is asked about these, and not found, fails
	asked  []string        // "type name" of every query
	always error           // the answer to all queries
}

func newZone() *zone {
	return &zone{map[string][]string{}, map[string][]netip.Addr{}, map[string][]string{}, map[string][]string{}, map[string]string{}, map[string]bool{}, nil, nil}
}

// fresh returns the zone with nothing asked yet.
func (z *zone) fresh() *zone {
	c := *z
	c.asked = nil
	return &c
}

func (z *zone) ask(ctx context.Context, kind, name string) string {
	z.asked = append(z.asked, kind+" "+name)
	name = strings.ToLower(name)
	for range 3 {
		if target, ok := z.cname[name]; ok {
			name = target
		}
	}
	return name
}

func (z *zone) notFound(ctx context.Context, found int, name string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case z.always != nil:
		return z.always
	case found > 0:
		return nil
	case z.broken[name]:
		return &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z *zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	name = z.ask(ctx, "TXT", name)
	return z.txt[name], z.notFound(ctx, len(z.txt[name]), name)
}

func (z *zone) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	name = z.ask(ctx, network, name)
	var list []netip.Addr
	for _, a := range z.ip[name] {
		if a.Is4() == (network == "ip4") {
			list = append(list, a)
		}
	}
	return list, z.notFound(ctx, len(list), name)
}

func (z *zone) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	name = z.ask(ctx, "MX", name)
	var list []*net.MX
	for _, host := range z.mx[name] {
		list = append(list, &net.MX{Host: strings.TrimSuffix(host, ".") + "."})
	}
	return list, z.notFound(ctx, len(list), name)
}

func (z *zone) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	z.ask(ctx, "PTR", addr)
	list := z.ptr[addr]
	if list == nil {
		list = z.ptr[arpa(addr)]
	}
	return list, z.notFound(ctx, len(list), addr)
}

// arpa is the name in the DNS that has the names of an address.
func arpa(addr string) string {
	a := netip.MustParseAddr(addr)
	var labels []string
	if a.Is4() {
		labels = strings.Split(addr, ".")
	} else {
		labels = strings.Split(strings.NewReplacer(":", "").Replace(a.StringExpanded()), "")
	}
	name := "arpa."
	if a.Is4() {
		name = "in-addr.arpa."
	} else {
		name = "ip6.arpa."
	}
	for _, l := range labels {
		name = l + "." + name
	}
	return name
}

// checkOutcome checks what is so of every outcome.
func checkOutcome(t *testing.T, o spf.Outcome, z *zone) {
	t.Helper()
	if o.Queries != len(z.asked) || o.Queries > 123 {
		t.Errorf("%d queries said to be made, %d made", o.Queries, len(z.asked))
	}
	for _, q := range z.asked {
		kind, name, _ := strings.Cut(q, " ")
		if kind != "PTR" && (!strings.HasSuffix(name, ".") || len(name) > 254) || strings.ContainsAny(name, "\\\r\n\x00") {
			t.Errorf("asked for %q", q)
		}
	}
	isError := o.Result == spf.None || o.Result == spf.TempError || o.Result == spf.PermError
	if isError != (o.Err != nil) || isError != (o.Mechanism == "") {
		t.Errorf("%v with mechanism %q and error %v", o.Result, o.Mechanism, o.Err)
	}
	if o.Explanation != "" && o.Result != spf.Fail || len(o.Explanation) > spf.MaxExplanation {
		t.Errorf("%v explained: %q", o.Result, o.Explanation)
	}
	for i := range len(o.Explanation) {
		if o.Explanation[i] < ' ' || o.Explanation[i] > '~' {
			t.Errorf("explanation %q", o.Explanation)
			break
		}
	}
	if o.Lookups > spf.MaxLookups && !errors.Is(o.Err, spf.ErrLookups) || o.Voids > spf.MaxVoids && !errors.Is(o.Err, spf.ErrVoids) {
		t.Errorf("%v with %d lookups, %d voids", o.Result, o.Lookups, o.Voids)
	}
	lookups, voids := 0, 0
	for _, s := range o.Steps {
		if s.Depth == 0 {
			lookups, voids = lookups+s.Lookups, voids+s.Voids
		}
	}
	if lookups != o.Lookups || voids != o.Voids {
		t.Errorf("steps %+v add up to %d lookups, %d voids; want %d, %d", o.Steps, lookups, voids, o.Lookups, o.Voids)
	}
}

// anyName has the same records at all names: an SPF record at those that are even in
// length, another at others, a text where there is an explanation.
type anyName struct {
	*zone
	even, odd, why string
}

func (a anyName) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a.zone.LookupTXT(ctx, name)
	if strings.HasPrefix(name, "why") {
		return []string{a.why}, nil
	}
	if len(name)%2 == 0 {
		return []string{a.even, a.why}, nil
	}
	return []string{a.odd}, nil
}

func (a anyName) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a.zone.LookupMX(ctx, name)
	return []*net.MX{{Host: "m.example."}, {Host: name}, {Host: "."}}, nil
}
