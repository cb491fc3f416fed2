package dmarc_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// sameEverywhere has one record at all names whose labels are odd in number, and
// another at the rest.
type sameEverywhere struct {
	zone
	odd, even string
}

func (s *sameEverywhere) LookupTXT(ctx context.Context, name string) ([]string, error) {
	s.zone.LookupTXT(ctx, name)
	text := s.even
	if strings.Count(name, ".")%2 == 1 {
		text = s.odd
	}
	if text == "" {
		return nil, &net.DNSError{Name: name, IsNotFound: true}
	}
	return []string{text}, nil
}

// FuzzCheck judges a stranger's From by a stranger's records.
func FuzzCheck(f *testing.F) {
	f.Add("Tim <tim@a.b.example.com>", "v=DMARC1; p=reject; psd=n", "v=DMARC1; p=none; np=reject; psd=y", "c.example.com", "b.example.com")
	f.Add("a@example.com, b@example.net", "v=DMARC1; p=reject; t=y", "", "example.com", "example.com")
	f.Add("x@a.b.c.d.e.f.g.h.i.j.example", "v=DMARC1; rua=mailto:a@b.example!10m", "", "c.d.e.f.g.h.i.j.example", "x")
	f.Fuzz(func(t *testing.T, from, odd, even, spf, dkim string) {
		header, _, _ := rfc2822.ParseHeader("From: " + from + "\r\n")
		r := &sameEverywhere{odd: odd, even: even}
		c := &dmarc.Checker{Resolver: r}
		o := c.CheckMessage(t.Context(), header.Named("From"), dmarc.Passed{SPF: spf, DKIM: []string{dkim, spf, "x.example"}})
		checkOutcome(t, o, &r.zone)
		if len(o.Queries) > 8*5 {
			t.Errorf("%d queries", len(o.Queries))
		}
	})
}

// FuzzParse: mailboxes that reports would be sent to are mailboxes.
func FuzzParse(f *testing.F) {
	f.Add("v=DMARC1; p=reject; rua=mailto:a%2Bb@b.example!10m,mailto:c@d.example; fo=1:d; psd=y; t=y")
	f.Add("v = DMARC1 ;P = Reject; adkim=S ;; sp")
	f.Fuzz(func(t *testing.T, text string) {
		dmarc.Mistaken(text)
		r, err := dmarc.Parse(text)
		if err != nil {
			return
		}
		for _, u := range append(r.RUA, r.RUF...) {
			if a, err := rfc2822.ParseAddrSpec(u.Address); u.Address != "" && (err != nil || a.Domain != u.Host() || strings.ContainsAny(u.Address, "\r\n\x00")) {
				t.Errorf("%q of %q: %v", u.Address, u.Text, err)
			}
		}
		for _, fault := range r.Faults {
			if fault.Offset < 0 || fault.Offset > len(text) {
				t.Errorf("%q: %+v", text, fault)
			}
		}
	})
}
