package dmarc_test

import (
	"context"
	"fmt"
	"net"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// table is a Resolver that knows what stands in it.
type table map[string][]string

func (t table) LookupTXT(_ context.Context, name string) ([]string, error) {
	if t[name] == nil {
		return nil, &net.DNSError{Name: name, IsNotFound: true}
	}
	return t[name], nil
}

func ExampleChecker_CheckMessage() {
	c := &dmarc.Checker{Resolver: table{"_dmarc.example.com.": {"v=DMARC1; p=reject; sp=quarantine"}}}
	for _, message := range []string{
		"From: Tim <tim@news.example.com>\r\n\r\n",
		"From: tim@example.com, spy@example.net\r\n\r\n",
	} {
		m, err := rfc2822.ReadString(message)
		if err != nil {
			fmt.Println(err)
		}
		o := c.CheckMessage(context.Background(), m.Header.Named("From"), dmarc.Passed{
			SPF: "bounces.example.org", // passed, and says nothing of example.com
		})
		fmt.Println(o.Result, o.Domain, o.Organization, o.Policy, o.Err)
	}
	// Output:
	// fail news.example.com example.com quarantine <nil>
	// permerror   reject dmarc: addresses of several domains in From
}

func ExampleParse() {
	r, err := dmarc.Parse("v=DMARC1; p=reject; sp=rejct; rua=mailto:dmarc@example.com!10m; pct=50")
	fmt.Println(r.P, r.RUA[0].Address, r.RUA[0].MaxSize, err)
	for _, fault := range r.Faults {
		fmt.Println(fault)
	}
	// Output:
	// reject dmarc@example.com 10485760 <nil>
	// dmarc: tag "sp" at octet 20: is neither none nor quarantine nor reject
	// dmarc: tag "pct" at octet 64: is history (RFC 9989 §A): nobody has to read it
}

func ExampleChecker_Recipients() {
	c := &dmarc.Checker{Resolver: table{"example.com._report._dmarc.reports.example.": {"v=DMARC1"}}}
	r, err := dmarc.Parse("v=DMARC1; p=none; rua=mailto:a@reports.example,mailto:b@stranger.example")
	if err != nil {
		fmt.Println(err)
	}
	to, err := c.Recipients(context.Background(), "example.com", r.RUA)
	for _, u := range to {
		fmt.Println(u.Address)
	}
	fmt.Println(err)
	// Output:
	// a@reports.example
	// "mailto:b@stranger.example": dmarc: its host does not take reports about the domain
}
