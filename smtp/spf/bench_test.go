package spf_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/postrider-mail/postrider/smtp/spf"
)

// ready answers without work of its own, so that what is measured is the evaluation.
type ready struct {
	txt map[string][]string
	ip  []netip.Addr
	mx  []*net.MX
}

func (r *ready) LookupTXT(_ context.Context, name string) ([]string, error) { return r.txt[name], nil }
func (r *ready) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return r.ip, nil
}
func (r *ready) LookupMX(context.Context, string) ([]*net.MX, error)  { return r.mx, nil }
func (r *ready) LookupAddr(context.Context, string) ([]string, error) { return nil, nil }

// BenchmarkCheck: an include, an mx of one name and an ip4 that matches.
func BenchmarkCheck(b *testing.B) {
	c := &spf.Checker{Resolver: &ready{
		map[string][]string{
			"example.com.":      {"google-site-verification=x", "v=spf1 include:_spf.example.net mx ip4:192.0.2.0/24 -all"},
			"_spf.example.net.": {"v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 ~all"},
		},
		[]netip.Addr{netip.MustParseAddr("198.51.100.9")},
		[]*net.MX{{Host: "mail.example.com."}},
	}}
	q := spf.Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: "mail.example.com", MailFrom: "tim@example.com"}
	b.ReportAllocs()
	for b.Loop() {
		if o := c.Check(context.Background(), q); o.Result != spf.Pass || o.Queries != 4 {
			b.Fatal(o)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := spf.Parse("v=spf1 include:_spf.example.net mx ip4:192.0.2.0/24 a:%{d}.example.org/24 -all"); err != nil {
			b.Fatal(err)
		}
	}
}
