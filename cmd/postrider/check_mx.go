package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// What a check asks of the DNS: it must not keep anybody waiting who has none.
const (
	mxPatience = 3 * time.Second
	mxDomains  = 100 // the first in the alphabet
	mxAtOnce   = 8
)

// mxResolver is the part of *net.Resolver that finds out where mail of a domain goes.
type mxResolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// mailElsewhere names the domains whose mail the DNS leads to others: what is sent from
// here to an address there stays here, and never reaches its owner. What cannot be
// found out is not told. own tells the addresses of this host.
func mailElsewhere(ctx context.Context, r mxResolver, server string, own func(netip.Addr) bool, domains []string) []error {
	ctx, cancel := context.WithTimeout(ctx, mxPatience)
	defer cancel()
	named, _ := r.LookupNetIP(ctx, "ip", server+".") // behind a translation of addresses
	isHere := func(a netip.Addr) bool { return own(a.Unmap()) || slices.Contains(named, a) }
	found := make([]error, len(domains))
	turns := make(chan struct{}, mxAtOnce)
	var all sync.WaitGroup
	for i, domain := range domains[:min(len(domains), mxDomains)] {
		if isReserved(domain) {
			continue
		}
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			found[i] = leadsElsewhere(ctx, r, server, isHere, domain)
		})
	}
	all.Wait()
	return slices.DeleteFunc(found, func(err error) bool { return err == nil })
}

func leadsElsewhere(ctx context.Context, r mxResolver, server string, isHere func(netip.Addr) bool, domain string) error {
	records, err := r.LookupMX(ctx, domain+".")
	if err != nil || len(records) == 0 {
		return nil
	}
	for _, mx := range records {
		host := strings.TrimSuffix(mx.Host, ".")
		if host == "" || strings.EqualFold(host, server) {
			return nil
		}
		addresses, err := r.LookupNetIP(ctx, "ip", host+".")
		if err != nil || slices.ContainsFunc(addresses, isHere) {
			return nil
		}
	}
	return fmt.Errorf("in the DNS: mail for %s goes to %s and not to this host: what is sent to an address there from here stays here",
		domain, strings.TrimSuffix(records[0].Host, "."))
}

// isReserved: the DNS knows nothing of names for tests, examples and local networks
// (RFC 2606, RFC 6761, RFC 6762).
func isReserved(domain string) bool {
	labels := strings.Split(domain, ".")
	last := labels[len(labels)-1]
	return len(labels) == 1 || slices.Contains([]string{"test", "example", "invalid", "localhost", "local", "internal", "arpa"}, last) ||
		labels[len(labels)-2] == "example" && slices.Contains([]string{"com", "net", "org"}, last)
}

// keysOf are the keys of a map of domains, sorted.
func keysOf[K ~string, V any](m map[K]V) (keys []string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		keys = append(keys, string(k))
	}
	return keys
}
