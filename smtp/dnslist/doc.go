// Package dnslist asks DNS lists, those that block and those that allow (RFC 5782),
// whether they know a host or a domain.
//
//	zen := &dnslist.List{Zone: "zen.example.org"}
//	codes, err := zen.Address(ctx, net.DefaultResolver, netip.MustParseAddr("192.0.2.1"))
//	// codes is [127.0.0.2], or empty where the host is not listed
//
// What a list says counts only if it can be an answer. That the list refuses to
// serve the resolver that asks (127.255.255.x), an address that is none of 127/8 (somebody
// has bought the name, or the resolver sells searches), a server that fails or does not answer: these are an
// [Error], and never a listing. A whole world of mail was refused in the past because they were taken for one.
//
// A [Group] asks several lists at once and waits for two seconds at most. It tests
// each list as RFC 5782 §5 has it, and does not ask one that fails the test until it passes
// again.
//
// What a code means is the list's own language; [Codes] are patterns such as "127.0.0.2-9". Nothing
// here remembers answers: that is the Resolver's work.
//
// Files:
//
//	list.go    one list and one question
//	codes.go   patterns of answers
//	errors.go  what is no answer, and what to do about it
//	group.go   several lists, as long as they are in health
package dnslist
