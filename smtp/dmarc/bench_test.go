package dmarc_test

import (
	"context"
	"testing"

	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// ready answers without work of its own, so that what is measured is the evaluation.
type ready map[string][]string

func (r ready) LookupTXT(_ context.Context, name string) ([]string, error) { return r[name], nil }

// BenchmarkCheck: a signature of the author's domain, and one of a sibling by the record
// of the organization.
func BenchmarkCheck(b *testing.B) {
	c := &dmarc.Checker{Resolver: ready{"_dmarc.example.com.": {"v=DMARC1; p=reject; rua=mailto:dmarc@example.com"}}}
	for name, test := range map[string][2]string{"own": {"example.com", "example.com"}, "sibling": {"a.example.com", "b.example.com"}} {
		b.Run(name, func(b *testing.B) {
			p := dmarc.Passed{DKIM: []string{test[1]}}
			b.ReportAllocs()
			for b.Loop() {
				if o := c.Check(context.Background(), test[0], p); o.Result != dmarc.Pass {
					b.Fatal(o)
				}
			}
		})
	}
}
