package resolver

import (
	"context"
	"net"
	"net/netip"
)

// Memory is what a Resolver remembers. It asks nobody and never waits, so that who needs an answer that is
// known already needs no goroutine, no clock and no place among those who ask. What is not remembered is a temporary error, as is
// what the DNS did not answer a moment ago; its other answers are those of the Resolver. Its methods may be called concurrently.
type Memory struct{ r Resolver }

// errNotRemembered says nothing about a name, and is one for all: most questions that are new are put again at once to who asks.
var errNotRemembered = &net.DNSError{Err: "not remembered", IsTemporary: true}

// Memory returns what r remembers, now and later. Only what is found in it counts among the Stats.
func (r *Resolver) Memory() *Memory { return &Memory{Resolver{of: r, counts: r.counts}} }

// LookupTXT is that of Resolver.
func (m *Memory) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return m.r.LookupTXT(ctx, name)
}

// LookupNetIP is that of Resolver.
func (m *Memory) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return m.r.LookupNetIP(ctx, network, host)
}

// LookupMX is that of Resolver.
func (m *Memory) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return m.r.LookupMX(ctx, name)
}

// LookupAddr is that of Resolver.
func (m *Memory) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	return m.r.LookupAddr(ctx, addr)
}

// NameExists is that of Resolver.
func (m *Memory) NameExists(ctx context.Context, name string) (bool, error) {
	return m.r.NameExists(ctx, name)
}
