package main

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// mxTable is a DNS that is only a table.
type mxTable struct {
	mx    map[string][]string
	hosts map[string]string
	mu    sync.Mutex
	asked []string
}

func (z *mxTable) LookupMX(_ context.Context, name string) (all []*net.MX, err error) {
	z.mu.Lock()
	z.asked = append(z.asked, name)
	z.mu.Unlock()
	for _, host := range z.mx[name] {
		all = append(all, &net.MX{Host: host})
	}
	if all == nil {
		return nil, &net.DNSError{Name: name, IsNotFound: true}
	}
	return all, nil
}

func (z *mxTable) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := z.hosts[host]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, &net.DNSError{Name: host, IsTemporary: true}
}

// TestCheckMX: a domain whose mail goes to others is named, and none that may be ours.
func TestCheckMX(t *testing.T) {
	z := &mxTable{
		mx: map[string][]string{
			"elsewhere.de.": {"mx1.provider.net.", "mx2.provider.net."},
			"byname.de.":    {"MAIL.ours.de."},
			"second.de.":    {"mx1.provider.net.", "backup.ours.de."},
			"behind.de.":    {"front.ours.de."},
			"unknown.de.":   {"mx.unknown.de."},
			"null.de.":      {"."},
			"example.com.":  {"mx1.provider.net."},
		},
		hosts: map[string]string{"mx1.provider.net.": "192.0.2.1", "mx2.provider.net.": "2001:db8::1", "mail.ours.de.": "198.51.100.1",
			"backup.ours.de.": "203.0.113.9", "front.ours.de.": "198.51.100.1"},
	}
	domains := []string{"behind.de", "byname.de", "elsewhere.de", "example.com", "lan", "mail.test", "null.de", "second.de", "unknown.de", "void.de"}
	got := mailElsewhere(t.Context(), z, "mail.ours.de", func(a netip.Addr) bool { return a == netip.MustParseAddr("203.0.113.9") }, domains)
	if len(got) != 1 || !strings.HasPrefix(got[0].Error(), "in the DNS: mail for elsewhere.de goes to mx1.provider.net and not to this host") {
		t.Errorf("noted %v", got)
	}
	for _, reserved := range []string{"example.com.", "lan.", "mail.test."} {
		for _, name := range z.asked {
			if name == reserved {
				t.Errorf("asked for %s", name)
			}
		}
	}
}
