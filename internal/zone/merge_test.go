package zone

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// TestMergeSPF: what is missing comes to the front, and what is there stays as it was written.
func TestMergeSPF(t *testing.T) {
	const want = "v=spf1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net -all"
	for have, merged := range map[string]string{
		"v=spf1 -all":                          "v=spf1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net -all",
		"v=spf1":                               "v=spf1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net",
		"V=SPF1  include:_spf.hand.test ~all ": "V=SPF1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net  include:_spf.hand.test ~all ",
		want:                                   want,
		"v=spf1 redirect=_spf.hand.test":       "v=spf1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net redirect=_spf.hand.test",
		// All are there, in other words, among more.
		"v=spf1 exp=e.test +IP4:192.0.2.0/24 include:x.test INCLUDE:_SPF.example.net. a:mail.example.test/24 ?all": "v=spf1 exp=e.test +IP4:192.0.2.0/24 include:x.test INCLUDE:_SPF.example.net. a:mail.example.test/24 ?all",
		// Narrower, behind something else, or behind the end is not there.
		"v=spf1 ip4:192.0.2.26 a:mail.example.test//128 -ip4:198.51.100.1 include:_spf.example.net -all": "v=spf1 include:_spf.example.net ip4:192.0.2.26 a:mail.example.test//128 -ip4:198.51.100.1 include:_spf.example.net -all",
		"v=spf1 ~a:mail.example.test ?ip4:192.0.2.26 -all include:_spf.example.net":                      "v=spf1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net ~a:mail.example.test ?ip4:192.0.2.26 -all include:_spf.example.net",
	} {
		got, err := mergeSPF("example.test", want, have)
		if err != nil || got != merged {
			t.Errorf("%q: %v\ngot  %q\nwant %q", have, err, got, merged)
		}
		if again, err := mergeSPF("example.test", want, got); err != nil || again != got {
			t.Errorf("%q merged twice: %q, %v", have, again, err)
		}
	}
	if got, err := mergeSPF("example.test", "v=spf1 mx -all", "v=spf1 mx:example.test -all"); err != nil || got != "v=spf1 mx:example.test -all" {
		t.Errorf("the name itself: %q, %v", got, err)
	}
	for have, why := range map[string]string{
		"v=spf1 mx +all":      "lets anybody send",
		"v=spf1 ip4:nonsense": "ip4:nonsense",
	} {
		if got, err := mergeSPF("example.test", want, have); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %q, %v", have, got, err)
		}
	}
}

// world answers who evaluates SPF: names that begin with v are of no use to anybody.
type world map[string]string

func (w world) LookupTXT(_ context.Context, name string) ([]string, error) {
	if text := w[strings.TrimSuffix(name, ".")]; text != "" {
		return []string{text}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (w world) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if strings.HasPrefix(host, "v") {
		return nil, &net.DNSError{IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("192.0.2.99")}, nil
}

func (w world) LookupMX(context.Context, string) ([]*net.MX, error)  { return nil, nil }
func (w world) LookupAddr(context.Context, string) ([]string, error) { return nil, nil }

// TestPushMergesSPF: on request a record written by hand gets what it lacks, once, and stays its owner's
// otherwise; where that would break it, it is left and named.
func TestPushMergesSPF(t *testing.T) {
	const wanted = "v=spf1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net"
	others := world{"_spf.example.net": "v=spf1 ip4:203.0.113.0/24 -all", "_spf.hand.test": "v=spf1 ip4:198.51.100.0/24 -all"}
	for _, c := range []struct {
		hand, merged, left string
	}{
		{"v=spf1 include:_spf.hand.test ~all", wanted + " include:_spf.hand.test ~all", ""},
		{wanted + " include:_spf.hand.test ~all", wanted + " include:_spf.hand.test ~all", ""},
		{"v=spf1 +all", "v=spf1 +all", "lets anybody send"},
		{"v=spf1 a:1.test a:2.test a:3.test a:4.test a:5.test a:6.test a:7.test a:8.test a:9.test -all", "v=spf1 a:1.test a:2.test a:3.test a:4.test a:5.test a:6.test a:7.test a:8.test a:9.test -all", "more lookups than the 10"},
		{"v=spf1 a:v1.test a:v2.test a:v3.test -all", "v=spf1 a:v1.test a:v2.test a:v3.test -all", "3 of its terms would lead to nothing"},
	} {
		a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: "@ TXT \"one\"\n@ TXT \"" + c.hand + "\"\n@ TXT \"two\"\n"})
		p, s := example(), serverAt(a)
		apex := []Record{{RR: txt("example.test", "")}}
		if _, left, err := push(t, s, p.Records()); err != nil || len(left) > 0 != (c.hand != wanted+" include:_spf.hand.test ~all") {
			t.Errorf("%s, not asked to merge: %v, left %q", c.hand, err, left)
		}
		if texts := everything(t, a, apex); !strings.Contains(texts, "\""+c.hand+"\"") {
			t.Errorf("%s, not asked to merge:\n%s", c.hand, texts)
		}
		s.SPF = others
		for i := range 2 {
			did, left, err := push(t, s, p.Records())
			if err != nil || len(did) != 0 && (i > 0 || c.hand == c.merged) || c.left == "" && len(left) != 0 || !strings.Contains(strings.Join(left, "\n"), c.left) {
				t.Errorf("%s, time %d: %v, did %q, left %q", c.hand, i, err, did, left)
			}
			texts := everything(t, a, apex)
			if strings.Count(texts, "v=spf1") != 1 || !strings.Contains(texts, "\""+c.merged+"\"") || strings.Count(texts, "\n") != 2 || !strings.Contains(texts, "one") || !strings.Contains(texts, "two") {
				t.Errorf("%s: the texts are\n%s", c.hand, texts)
			}
		}
		for _, rr := range a.Ask(t, "example.test", dns.TypeTXT) {
			if text, ok := rr.(*dns.TXT); ok && strings.Contains(text.String(), "spf1") && text.Hdr.Ttl != 60 {
				t.Errorf("the record's owner has a TTL of 60, now it is %s", text)
			}
		}
	}
}
