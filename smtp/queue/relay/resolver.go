package relay

import (
	"context"
	"errors"
	"net/netip"
)

// Errors of a Resolver. Everything else is temporary.
var (
	// ErrNoName: the name does not exist (NXDOMAIN).
	ErrNoName = errors.New("relay: no such name in the DNS")
)

// Resolver asks the DNS. A name that exists but has no records of the kind is
// an Answer without Records, and not an error. Names come without the dot at
// the end, in ASCII. The methods are called concurrently.
type Resolver interface {
	MX(ctx context.Context, domain string) (Answer[MX], error)
	// Addr returns the IPv4 and IPv6 addresses of a host.
	Addr(ctx context.Context, host string) (Answer[netip.Addr], error)
	TXT(ctx context.Context, name string) (Answer[string], error)
	TLSA(ctx context.Context, name string) (Answer[TLSA], error)
}

// Answer is what the DNS has under a name.
type Answer[T any] struct {
	Records []T
	// Name is where the records are: the end of a chain of CNAMEs, or the
	// name asked for.
	Name string
	// Secure: all of the answer, CNAMEs included, was validated with DNSSEC,
	// by somebody who is trusted and reached over a trusted path.
	Secure bool
}

// MX is one mail exchanger.
type MX struct {
	Host       string // without the dot at the end; empty for the root, "."
	Preference uint16
}

// TLSA is one TLSA record (RFC 6698 §2.1).
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}
