// Package relay is the queue.Transport that speaks SMTP and LMTP to other
// hosts: it finds them in the DNS or in a table of routes, decides what TLS
// they must show, keeps connections for the next message, and turns what they
// answer into one result per recipient.
//
// resolver.go says what is asked of the DNS; mx.go finds the hosts of a domain (RFC
// 5321 §5.1); route.go names other ways than that; policy.go decides about TLS,
// with sts.go (RFC 8461), dane.go (RFC 7672), seen.go (what a domain has shown
// before) and tlsrpt.go (RFC 8460); pool.go keeps connections, dial.go makes
// them, transact.go sends one message over one.
package relay
