package resolver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestQuestion: whoever is trusted is asked for what DNSSEC says, and nobody for more than
// fits into a packet.
func TestQuestion(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		var question atomic.Pointer[dns.Msg]
		addr := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
			question.Store(q)
			return mailtest.NewZone(t, "example.net. 60 IN MX 10 mx.example.net.").Reply(q)
		})
		r := New(Config{Servers: []string{addr}, Trusted: trusted})
		if a, err := r.MX(t.Context(), "example.net"); err != nil || len(a.Records) != 1 {
			t.Fatal(a, err)
		}
		asked := question.Load()
		opt := asked.IsEdns0()
		if opt == nil || opt.Do() != trusted || opt.UDPSize() != 1232 || asked.AuthenticatedData != trusted || !asked.RecursionDesired {
			t.Errorf("trusted %v: asked %v", trusted, asked)
		}
	}
}

// TestServersInTurn: a server that refuses or fails is no answer while there is another.
func TestServersInTurn(t *testing.T) {
	for _, rcode := range []int{dns.RcodeRefused, dns.RcodeServerFailure} {
		bad := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg { return new(dns.Msg).SetRcode(q, rcode) })
		good := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
			return mailtest.NewZone(t, "example.net. 60 IN MX 10 mx.example.net.").Reply(q)
		})
		if a, err := New(Config{Servers: []string{bad, good}}).MX(t.Context(), "example.net"); err != nil || len(a.Records) != 1 {
			t.Errorf("%s: %v, %v", dns.RcodeToString[rcode], a, err)
		}
		if _, err := New(Config{Servers: []string{bad}}).MX(t.Context(), "example.net"); err == nil || errors.Is(err, ErrNoName) {
			t.Errorf("%s alone: %v", dns.RcodeToString[rcode], err)
		}
	}
}

// TestOneFamilyFails: the addresses of one family are enough, and where there are none a
// failure of the other is for now.
func TestOneFamilyFails(t *testing.T) {
	const a, aaaa = "mx.example.net. 60 IN A 192.0.2.1", "mx.example.net. 60 IN AAAA 2001:db8::1"
	for _, tt := range []struct {
		fails   string // kinds
		records []string
		want    string // "later" for a failure that may pass
	}{
		{"", []string{a, aaaa}, "[2001:db8::1 192.0.2.1]"},
		{"AAAA", []string{a, aaaa}, "[192.0.2.1]"}, {"A", []string{a, aaaa}, "[2001:db8::1]"},
		{"AAAA", []string{"mx.example.net. 60 IN TXT x"}, "later"}, {"A", []string{"mx.example.net. 60 IN TXT x"}, "later"},
		// Where there is no such name it has nothing of any kind (RFC 8020): if that is known first, the other kind is not asked for.
		{"A AAAA", nil, "later"}, {"AAAA", nil, "later or none"}, {"A", nil, "later or none"}, {"", nil, "none"},
	} {
		addr := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
			if slices.Contains(strings.Fields(tt.fails), dns.TypeToString[q.Question[0].Qtype]) {
				return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			}
			return mailtest.NewZone(t, tt.records...).Reply(q)
		})
		answer, err := New(Config{Servers: []string{addr}}).Addr(t.Context(), "mx.example.net")
		got := fmt.Sprint(answer.Records)
		switch {
		case errors.Is(err, ErrNoName):
			got = "none"
		case err != nil:
			got = "later"
		}
		if got != tt.want && !(tt.want == "later or none" && (got == "later" || got == "none")) {
			t.Errorf("%q fails, records %q: %s, %v, want %s", tt.fails, tt.records, got, err, tt.want)
		}
	}
}
