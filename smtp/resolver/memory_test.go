package resolver

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestMemory: it has what was asked for, for as long as that holds, and asks nobody.
func TestMemory(t *testing.T) {
	zone := mailtest.NewZone(t, `a.example. 60 IN TXT "a"`, "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN MX 10 mx.example.", "1.2.0.192.in-addr.arpa. 60 IN PTR a.example.",
		"example. 60 IN SOA ns.example. root.example. 1 1 1 1 60")
	synctest.Test(t, func(t *testing.T) {
		r := within(asked(zone))
		m := r.Memory()
		ctx := t.Context()
		questions := map[string]func(r *Resolver, m *Memory) (any, error){
			"TXT": func(r *Resolver, m *Memory) (any, error) {
				if r != nil {
					return r.LookupTXT(ctx, "a.example.")
				}
				return m.LookupTXT(ctx, "A.example.")
			},
			"A": func(r *Resolver, m *Memory) (any, error) {
				if r != nil {
					return r.LookupNetIP(ctx, "ip4", "a.example.")
				}
				return m.LookupNetIP(ctx, "ip4", "a.example.")
			},
			"AAAA, which there is not": func(r *Resolver, m *Memory) (any, error) {
				if r != nil {
					return r.LookupNetIP(ctx, "ip6", "a.example.")
				}
				return m.LookupNetIP(ctx, "ip6", "a.example.")
			},
			"MX": func(r *Resolver, m *Memory) (any, error) {
				if r != nil {
					all, err := r.LookupMX(ctx, "a.example.")
					return len(all), err
				}
				all, err := m.LookupMX(ctx, "a.example.")
				return len(all), err
			},
			"PTR": func(r *Resolver, m *Memory) (any, error) {
				if r != nil {
					return r.LookupAddr(ctx, "192.0.2.1")
				}
				return m.LookupAddr(ctx, "192.0.2.1")
			},
			"a name that there is not": func(r *Resolver, m *Memory) (any, error) {
				if r != nil {
					return r.NameExists(ctx, "none.example.")
				}
				return m.NameExists(ctx, "none.example.")
			},
		}
		unknown := func(what string) {
			t.Helper()
			for name, ask := range questions {
				_, err := ask(nil, m)
				var dns *net.DNSError
				if !errors.As(err, &dns) || !dns.IsTemporary || dns.IsNotFound {
					t.Errorf("%s, %s: %v", what, name, err)
				}
			}
		}
		unknown("at first")
		if s := r.Stats(); s.Lookups != 0 || s.Queries != 0 {
			t.Errorf("what was not remembered counts: %+v", s)
		}
		for name, ask := range questions {
			want, err := ask(r, nil)
			got, again := ask(nil, m)
			if fmt.Sprint(got, again) != fmt.Sprint(want, err) {
				t.Errorf("%s: %v, %v; the Resolver said %v, %v", name, got, again, want, err)
			}
		}
		if s := r.Stats(); s.Queries != int64(len(questions)) || s.Hits != s.Queries {
			t.Errorf("%d queries, %d hits", s.Queries, s.Hits)
		}
		time.Sleep(time.Hour)
		unknown("later")
		if _, err := r.LookupTXT(ctx, "a.example."); err != nil {
			t.Fatal(err)
		}
		if _, err := m.LookupTXT(ctx, "a.example."); err != nil {
			t.Error("not there again:", err)
		}
		r.Reconfigure(Config{Servers: []string{"192.0.2.53"}})
		unknown("of other servers")
	})
}

// TestMemoryOfFailure: what nobody has answered is a temporary error, and is not asked again.
func TestMemoryOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := within(asked(mailtest.Zone{}))
		r.LookupTXT(t.Context(), "servfail.example.")
		before := r.Stats().Queries
		var dns *net.DNSError
		if _, err := r.Memory().LookupTXT(t.Context(), "servfail.example."); !errors.As(err, &dns) || dns.IsNotFound {
			t.Error(err)
		}
		if r.Stats().Queries != before {
			t.Error("it was asked")
		}
	})
}
