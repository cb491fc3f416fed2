// Package resolver asks the DNS what a mail system wants to know, and remembers
// the answers: one Resolver for the relay, for SPF, DKIM and DMARC, for reverse names
// and for DNS lists.
//
//	r := resolver.New(resolver.Config{Servers: []string{"127.0.0.1"}, Trusted: true})
//	mx, err := r.MX(ctx, "example.com")            // with mx.Secure, for DANE
//	txt, err := r.LookupTXT(ctx, "example.com.")   // in the shape of *net.Resolver
//	own, err := r.At("192.0.2.53").SOA(ctx, "example.com") // the zone's own server says
//
// It talks to recursive servers, over UDP and, where that is not enough, over TCP. An
// answer is kept for as long as its TTL says, within bounds; that there is none, as long as the
// zone's SOA record says (RFC 2308); that a server failed, for five seconds. Those who ask
// the same at one time share one question. Memory is bounded in entries and octets, and
// names that were asked for once do not push out those that are asked for again and again.
//
// There are two ways to ask. The methods named for a record ([Resolver.MX], [Resolver.Addr],
// [Resolver.TXT] …) return an [Answer], which also says where the records were found, how long they hold,
// and whether DNSSEC has proved them; that a name has none is no error. The methods named Lookup are
// those of *net.Resolver, for packages that want no more than that: where there is nothing, the error
// is a *net.DNSError with IsNotFound. Errors of the DNS are *net.DNSError by errors.As, and [ErrNoName] by
// errors.Is where the name itself does not exist; whatever is not IsNotFound is temporary.
//
// exchange.go talks to servers, answer.go reads what they say, cache.go keeps it.
package resolver
