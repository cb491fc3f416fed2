package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Answer is what the DNS has under a name. Without Records the name exists and has none of
// the kind.
type Answer[T any] struct {
	Records []T
	// Name is where the records are: the end of a chain of CNAMEs, or the
	// name asked for; without the dot at the end.
	Name string
	// Secure: all of the answer, CNAMEs included, was validated with DNSSEC,
	// by somebody who is trusted and reached over a trusted path.
	Secure bool
	// Authoritative: a server of the zone itself has said it.
	Authoritative bool
	// TTL is how long the answer holds from now on. It is 0 where nothing says so.
	TTL time.Duration
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

// SOA is what stands at the top of a zone (RFC 1035 §3.3.13).
type SOA struct {
	Server  string // the primary one, without the dot at the end
	Mailbox string // as a name: its first dot stands for the @
	Serial  uint32
	Minimum time.Duration // for how long it holds that something is not there
}

// lookupError says of a *net.DNSError what was looked up.
type lookupError struct {
	kind string
	*net.DNSError
}

func (e *lookupError) Error() string { return "look up " + e.kind + " of " + e.Name + ": " + e.Err }
func (e *lookupError) Unwrap() error { return e.DNSError }

// MX returns the mail exchangers of a domain, in no order.
func (r *Resolver) MX(ctx context.Context, domain string) (Answer[MX], error) {
	return ask[MX](ctx, r, domain, dns.TypeMX)
}

// TXT returns the texts of a name. The strings of a record are joined (RFC 7208 §3.3,
// RFC 8461 §3.1).
func (r *Resolver) TXT(ctx context.Context, name string) (Answer[string], error) {
	return ask[string](ctx, r, name, dns.TypeTXT)
}

// TLSA returns the TLSA records of a name such as "_25._tcp.mx.example.com".
func (r *Resolver) TLSA(ctx context.Context, name string) (Answer[TLSA], error) {
	return ask[TLSA](ctx, r, name, dns.TypeTLSA)
}

// CNAME returns the name that a name is an alias of; it is not followed.
func (r *Resolver) CNAME(ctx context.Context, name string) (Answer[string], error) {
	return ask[string](ctx, r, name, dns.TypeCNAME)
}

// NS returns the servers of a zone, without the dot at the end.
func (r *Resolver) NS(ctx context.Context, zone string) (Answer[string], error) {
	return ask[string](ctx, r, zone, dns.TypeNS)
}

// SOA returns the record at the top of a zone.
func (r *Resolver) SOA(ctx context.Context, zone string) (Answer[SOA], error) {
	return ask[SOA](ctx, r, zone, dns.TypeSOA)
}

// Records returns the records of any kind, such as "SRV" or "CAA", as a zone file has what
// stands behind name, TTL, class and kind.
func (r *Resolver) Records(ctx context.Context, name, kind string) (Answer[string], error) {
	qtype, ok := dns.StringToType[strings.ToUpper(kind)]
	if !ok || qtype == dns.TypeANY || qtype == dns.TypeOPT || qtype == dns.TypeAXFR || qtype == dns.TypeIXFR {
		return Answer[string]{}, fmt.Errorf("look up %s of %s: there are no records of this kind", kind, name)
	}
	a, _, err := answer[string](ctx, r, name, question{qtype: qtype, text: true})
	return a, err
}

// Addr returns the IPv6 and IPv4 addresses of a host. The answer is secure only if both
// halves are; one half that cannot be had does not spoil the other.
func (r *Resolver) Addr(ctx context.Context, host string) (Answer[netip.Addr], error) {
	type half struct {
		a   Answer[netip.Addr]
		err error
	}
	v6 := make(chan half, 1)
	go func() {
		a, err := ask[netip.Addr](ctx, r, host, dns.TypeAAAA)
		v6 <- half{a, err}
	}()
	a, err := ask[netip.Addr](ctx, r, host, dns.TypeA)
	six := <-v6
	switch {
	case err != nil && six.err != nil:
		if errors.Is(err, ErrNoName) {
			err = six.err // of the two, the one that may pass
		}
		return a, err
	case err != nil:
		return six.a, errUnless(six.a.Records, err)
	case six.err != nil:
		return a, errUnless(a.Records, six.err)
	}
	a.Records = append(six.a.Records, a.Records...)
	a.Secure = a.Secure && six.a.Secure
	a.Authoritative = a.Authoritative && six.a.Authoritative
	a.TTL = min(a.TTL, six.a.TTL)
	return a, nil
}

func errUnless(have []netip.Addr, err error) error {
	if len(have) > 0 {
		return nil
	}
	return err
}

func ask[T any](ctx context.Context, r *Resolver, name string, qtype uint16) (Answer[T], error) {
	a, _, err := answer[T](ctx, r, name, question{qtype: qtype})
	return a, err
}

// answer gives a result its type.
func answer[T any](ctx context.Context, r *Resolver, name string, q question) (a Answer[T], res *result, err error) {
	a.Name = strings.TrimSuffix(name, ".")
	q.name = canonical(name)
	res, err = r.lookup(ctx, q)
	if err != nil {
		return a, nil, &lookupError{typeName(q.qtype), err.(*net.DNSError)}
	}
	if res.end != "" {
		a.Name = res.end
	}
	a.Secure, a.Authoritative, a.TTL = res.secure, res.owner, res.left()
	if res.state == noName || res.state == failed {
		return a, res, &lookupError{typeName(q.qtype), res.err}
	}
	records, _ := res.records.([]T)
	a.Records = slices.Clone(records)
	return a, res, nil
}

// left is what is left of the TTL.
func (r *result) left() time.Duration {
	if r.at.IsZero() {
		return r.ttl
	}
	return max(0, r.ttl-time.Since(r.at))
}
