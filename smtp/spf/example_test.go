package spf_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/postrider-mail/postrider/smtp/spf"
)

// table is a Resolver that knows TXT records only.
type table map[string][]string

func notFound(name string) error { return &net.DNSError{Name: name, IsNotFound: true} }

func (t table) LookupTXT(_ context.Context, name string) ([]string, error) {
	if t[name] == nil {
		return nil, notFound(name)
	}
	return t[name], nil
}

func (table) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return nil, notFound(host)
}
func (table) LookupMX(_ context.Context, name string) ([]*net.MX, error) { return nil, notFound(name) }
func (table) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return nil, notFound(addr)
}

var exampleZone = table{
	"example.com.":      {"v=spf1 include:_spf.example.net -all exp=why.example.com"},
	"_spf.example.net.": {"v=spf1 ip4:192.0.2.0/24 a:old.example.net ~all"},
	"why.example.com.":  {"%{i} is not a mail server of %{d}"},
}

func ExampleCheck() {
	for _, ip := range []string{"192.0.2.25", "203.0.113.1"} {
		o := spf.Check(context.Background(), spf.Query{
			IP:       netip.MustParseAddr(ip),
			Helo:     "mail.example.net",
			MailFrom: "tim@example.com",
		}, exampleZone)
		fmt.Printf("%v %s %s %q\n", o.Result, o.Domain, o.Mechanism, o.Explanation)
	}
	// Output:
	// pass example.com include:_spf.example.net ""
	// fail example.com -all "203.0.113.1 is not a mail server of example.com"
}

// What a record costs everybody who evaluates it, by include.
func ExampleChecker_Bill() {
	c := &spf.Checker{Resolver: exampleZone}
	bill, err := c.Bill(context.Background(), spf.Query{IP: netip.MustParseAddr("192.0.2.25"), MailFrom: "example.com"})
	if err != nil {
		fmt.Println(err)
	}
	for _, s := range bill.Steps {
		fmt.Printf("%d %s%s\n", s.Lookups, strings.Repeat("  ", s.Depth), s.Term)
	}
	fmt.Println(bill.Lookups, "of", spf.MaxLookups, "lookups,", bill.Voids, "of", spf.MaxVoids, "without an answer")
	// Output:
	// 2 include:_spf.example.net
	// 0   ip4:192.0.2.0/24
	// 1   a:old.example.net
	// 0   ~all
	// 0 -all
	// 2 of 10 lookups, 1 of 2 without an answer
}

func ExampleParse() {
	record, err := spf.Parse("v=spf1 mx a:192.0.2.1 ipv4:192.0.2.1 -all")
	for _, t := range record.Terms {
		fmt.Println(t.Offset, t.Qualifier, t.Kind)
	}
	fmt.Println(err)
	// Output:
	// 7 pass mx
	// 37 fail all
	// spf: "a:192.0.2.1" at octet 12: an address where a name belongs: ip4 and ip6 take addresses
	// spf: "ipv4:192.0.2.1" at octet 22: no mechanism of that name
}

func ExampleMistaken() {
	fmt.Println(spf.Mistaken(`"v=spf1 -all"`))
	// Output:
	// there is a quotation mark in front of it: the quotes of a zone file were published as well
}
