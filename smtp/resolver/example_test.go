package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp/resolver"
)

// answering is a Dial that leads to a server with some records, in place of the network.
func answering(records ...string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			c := &dns.Conn{Conn: theirs}
			q, err := c.ReadMsg()
			if err != nil {
				return
			}
			m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
			m.Authoritative = true
			for _, text := range records {
				rr, err := dns.NewRR(text)
				if err != nil || rr.Header().Name != q.Question[0].Name {
					continue
				}
				m.Rcode = dns.RcodeSuccess
				if rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
			_ = c.WriteMsg(m)
		}()
		return ours, nil
	}
}

// The methods for records tell what is there, where and for how long.
func Example() {
	r := resolver.New(resolver.Config{Servers: []string{"127.0.0.1"}, Dial: answering("example.com. 3600 IN MX 10 mx.example.com.")})
	ctx := context.Background()

	mx, err := r.MX(ctx, "example.com")
	fmt.Println(mx.Records, mx.Name, mx.Secure, err)
	txt, err := r.TXT(ctx, "example.com") // it has none
	fmt.Println(txt.Records, err)
	_, err = r.MX(ctx, "example.net")
	fmt.Println(errors.Is(err, resolver.ErrNoName), err)
	// Output:
	// [{mx.example.com 10}] example.com false <nil>
	// [] <nil>
	// true look up MX of example.net: no such name
}

// The methods named Lookup are those of *net.Resolver.
func ExampleResolver_LookupTXT() {
	r := resolver.New(resolver.Config{Servers: []string{"127.0.0.1"}, Dial: answering(`example.com. 60 IN TXT "v=spf1" " -all"`)})
	txt, err := r.LookupTXT(context.Background(), "example.com.")
	fmt.Printf("%q %v\n", txt, err)

	_, err = r.LookupTXT(context.Background(), "none.example.")
	var nothing *net.DNSError
	fmt.Println(errors.As(err, &nothing) && nothing.IsNotFound)
	// Output:
	// ["v=spf1 -all"] <nil>
	// true
}

// A zone's own servers say what will be seen elsewhere when the memories have run out.
func ExampleResolver_At() {
	r := resolver.New(resolver.Config{Servers: []string{"127.0.0.1"}, Dial: answering("example.com. 3600 IN CAA 0 issue \"ca.example\"")})
	own := r.At("192.0.2.53")
	caa, err := own.Records(context.Background(), "example.com", "CAA")
	fmt.Println(caa.Records, caa.Authoritative, caa.TTL, err)
	// Output: [0 issue "ca.example"] true 1h0m0s <nil>
}

// Of one resolver packages get as much as they ask for.
func ExampleNew() {
	r := resolver.New(resolver.Config{Servers: []string{"127.0.0.1"}, Dial: answering("mx.example.com. 60 IN A 192.0.2.1")})
	var names interface {
		LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	} = r // as *net.Resolver would be
	for range 3 {
		addrs, err := names.LookupNetIP(context.Background(), "ip4", "mx.example.com.")
		fmt.Println(addrs, err)
	}
	fmt.Println(r.Stats().Queries, "query,", r.Stats().Hits, "answers from memory")
	// Output:
	// [192.0.2.1] <nil>
	// [192.0.2.1] <nil>
	// [192.0.2.1] <nil>
	// 1 query, 2 answers from memory
}
