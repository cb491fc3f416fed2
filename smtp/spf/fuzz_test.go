package spf_test

import (
	"net/netip"
	"testing"

	"github.com/postrider-mail/postrider/smtp/spf"
)

// FuzzCheck evaluates records of a stranger for words of a stranger.
func FuzzCheck(f *testing.F) {
	f.Add("v=spf1 include:%{d2}.b.example a:%{l1r-}.%{o} mx ptr:%{p} exists:%{i}.%{v} -all exp=%{h}.example", "v=spf1 redirect=%{d}", "%{c} %{S} %{p} %% %_ %-", "helo.example", "a-b+c@a.example", true)
	f.Add("v=spf1 a//64 ip6:2001:db8::/32 -all exp=why.a.example", "v=spf1 ?all", "no %{z}", "[192.0.2.1]", "", false)
	f.Fuzz(func(t *testing.T, first, second, why, helo, sender string, v6 bool) {
		z := dns("m.example A 192.0.2.7")
		ip := "192.0.2.1"
		if v6 {
			ip = "2001:db8::1"
		}
		z.ptr[ip] = []string{helo, "m.example."}
		r := anyName{z, first, second, why}
		c := &spf.Checker{Resolver: r, Explanation: "default"}
		o := c.Check(t.Context(), spf.Query{IP: netip.MustParseAddr(ip), Helo: helo, MailFrom: sender})
		checkOutcome(t, o, z)
		b, _ := c.Bill(t.Context(), spf.Query{IP: netip.MustParseAddr(ip), Helo: helo, MailFrom: sender})
		if b.Lookups > 51 {
			t.Errorf("%d lookups", b.Lookups)
		}
		spf.Mistaken(first)
	})
}

// FuzzParse: a record that can be read can be read again by its terms.
func FuzzParse(f *testing.F) {
	f.Add("v=spf1 a mx:b.example/24//64 ip4:192.0.2.1 -all exp=%{d}.x.example")
	f.Add("v=spf1 -all redirect=%{x} moo a/33")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := spf.Parse(text)
		again := "v=spf1"
		for _, x := range r.Terms {
			if text[x.Offset:x.Offset+len(x.Text)] != x.Text {
				t.Errorf("%q is not at %d", x.Text, x.Offset)
			}
			again += " " + x.Text
		}
		r2, err2 := spf.Parse(again)
		if err == nil && (err2 != nil || len(r2.Terms) != len(r.Terms) || r2.Lookups() != r.Lookups()) {
			t.Errorf("%q: %v", again, err2)
		}
	})
}
