package relay

import (
	"context"
	"net/netip"

	"github.com/postrider-mail/postrider/smtp/resolver"
)

// Resolver asks the DNS; a *resolver.Resolver is one. A name that exists but has no records of the kind is
// an Answer without Records, and not an error; one that does not exist is
// resolver.ErrNoName, and every other error is temporary. Names come without the dot at
// the end, in ASCII. The methods are called concurrently.
type Resolver interface {
	MX(ctx context.Context, domain string) (resolver.Answer[resolver.MX], error)
	// Addr returns the IPv4 and IPv6 addresses of a host.
	Addr(ctx context.Context, host string) (resolver.Answer[netip.Addr], error)
	TXT(ctx context.Context, name string) (resolver.Answer[string], error)
	TLSA(ctx context.Context, name string) (resolver.Answer[resolver.TLSA], error)
}

var _ Resolver = (*resolver.Resolver)(nil)
