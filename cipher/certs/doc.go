// Package certs is TLS as a mail server needs it: sets of certificates chosen
// by server name, STARTTLS, self-signed certificates, channel bindings.
//
//	set, err := certs.LoadTLS(certs.Keypair{Cert: "mail.crt", Key: "mail.key"})
//	…
//	conn, err := certs.Upgrade(ctx, conn, buffered, set.Config())
//
// LoadTLS reads certificates; TLS.Reload replaces all of them or none. Upgrade
// turns a connection into a TLS one behind STARTTLS (RFC 3207) and STLS
// (RFC 2595). SelfSigned makes a certificate for a first start. Nothing but the
// standard library comes along.
package certs
