package conf

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A domain has its own times where it says so, and the queue's otherwise.
func TestQueueFor(t *testing.T) {
	const m, h = time.Minute, time.Hour
	q := &New().Queue
	for _, c := range []struct {
		name                      string
		d                         *QueueDomain
		first, most, expire, warn time.Duration
	}{
		{"nothing", nil, 5 * m, 70 * m, 120 * h, 4 * h},
		{"only TLS", &QueueDomain{TLS: "verify"}, 5 * m, 70 * m, 120 * h, 4 * h},
		{"all", &QueueDomain{RetryFirst: m, RetryMax: 2 * m, ExpireAfter: 3 * h, DelayWarningAfter: h}, m, 2 * m, 3 * h, h},
		{"a first wait longer than the longest", &QueueDomain{RetryFirst: 3 * h}, 3 * h, 3 * h, 120 * h, 4 * h},
	} {
		got := q.For(c.d)
		if got.RetryFirst != c.first || got.RetryMax != c.most || got.ExpireAfter != c.expire || got.DelayWarningAfter != c.warn {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
}

func TestResolverAddress(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1": "127.0.0.1:53", "127.0.0.1:5353": "127.0.0.1:5353", "::1": "[::1]:53", "[::1]": "[::1]:53",
		"[::1]:54": "[::1]:54", "localhost": "", "": "", "127.0.0.1:x": "", "[::1": "[::1]:53",
	} {
		got, err := ResolverAddress(in)
		if want == "" && err == nil || want != "" && (err != nil || got.String() != want) {
			t.Errorf("%q: got %v, %v; want %q", in, got, err, want)
		}
	}
}

func TestCanonicalPattern(t *testing.T) {
	for in, want := range map[string]string{"*": "*", "Example.COM": "example.com", ".Bücher.Example": ".xn--bcher-kva.example"} {
		if got := canonicalPattern(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// What case means in a local part, its own host alone knows.
func TestAliasKeepsCaseElsewhere(t *testing.T) {
	s := New()
	s.ServerName = "mail.example.com"
	s.Aliases = map[string]Targets{"A@Mail.example.com": {"Ann.B@Far.Example", "Bob@MAIL.example.com"}}
	got := aliasesOf(s)["a@mail.example.com"]
	if len(got) != 2 || got[0] != "Ann.B@far.example" || got[1] != "bob@mail.example.com" {
		t.Errorf("got %v", got)
	}
}

// TestWarningBeforeTheEnd: who is told that his message waits is told before it is given up, or not at all; what is written stands.
func TestWarningBeforeTheEnd(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"expire_after": "4h"`: 0, `"expire_after": "4h1s"`: 4 * time.Hour, `"expire_after": "3h"`: 0, `"expire_after": "9h", "delay_warning_after": "8h"`: 8 * time.Hour,
	} {
		s := mustLoad(t, folder(t, "a.conf", fmt.Sprintf(`{"server_name": "mail.example.com", "data_dir": "data", "Queue": {%s}}`, text)))
		if got := s.Queue.DelayWarningAfter; got != want {
			t.Errorf("%s: a warning after %v, want %v", text, got, want)
		}
	}
}

// TestRouteWithoutHost: a route that leads nowhere is named as such, whichever way its host is left out.
func TestRouteWithoutHost(t *testing.T) {
	for host, want := range map[string]string{`"host": ""`: "missing; write the host", `"host": []`: "missing; write the host", `"host": [""]`: "missing; write the host", `"port": 25`: "missing; write the host", `"host": "mx.example.net"`: ""} {
		_, problems := Verify(folder(t, "a.conf", fmt.Sprintf(`{"server_name": "mail.example.com", "data_dir": "data", "postmaster": "a@mail.example.com", "Accounts": {"a@mail.example.com": {}}, "Queue": {"Routes": [{"domain": "*", %s}]}}`, host)), Probes{})
		said := 0
		for _, p := range problems {
			if strings.Contains(p.Error(), "Queue.Routes[0].host") {
				said++
				if want == "" || !strings.Contains(p.Error(), want) {
					t.Errorf("%s: %v", host, p)
				}
			}
		}
		if said != min(1, len(want)) {
			t.Errorf("%s: said %d times: %v", host, said, problems)
		}
	}
}
