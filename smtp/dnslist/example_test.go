package dnslist_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// table is a Resolver that knows some names.
type table map[string]string

func (t table) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if t[host] == "" {
		return nil, &net.DNSError{Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr(t[host])}, nil
}

// A server asks all its lists about a client, and looks what the codes mean to it.
func ExampleGroup_Check() {
	dns := table{"2.0.0.127.bl.example.": "127.0.0.2", "7.2.0.192.bl.example.": "127.0.0.4"}
	lists := dnslist.NewGroup(nil, &dnslist.List{Zone: "bl.example"})
	infected, _ := dnslist.ParseCodes("127.0.0.4-7")

	for _, client := range []string{"192.0.2.7", "192.0.2.8"} {
		for _, f := range lists.Check(context.Background(), dns, netip.MustParseAddr(client)) {
			fmt.Println(client, f.Listed(), f.Listed() && infected.Match(f.Codes[0]))
		}
	}
	// Output:
	// 192.0.2.7 true true
	// 192.0.2.8 false false
}

// What a list says to those it does not serve is no listing.
func ExampleList_Address() {
	dns := table{"7.2.0.192.bl.example.": "127.255.255.254"}
	list := &dnslist.List{Zone: "bl.example"}
	codes, err := list.Address(context.Background(), dns, netip.MustParseAddr("192.0.2.7"))
	fmt.Println(len(codes), err)
	// Output: 0 the DNS list bl.example does not answer public resolvers (127.255.255.254)
}
