// Package cipher is what a mail server needs of cryptography, and nothing that
// a mail server should not use: certificates and TLS, password hashes, and
// secrets sealed at rest.
//
//   - TLS: LoadTLS reads certificates, picks one by server name and reloads
//     them all or not at all; Upgrade turns a connection into a TLS one behind
//     STARTTLS (RFC 3207) and STLS (RFC 2595); SelfSigned makes a certificate
//     for a first start.
//   - Passwords: HashPassword and VerifyPassword keep argon2id strings and read
//     what other systems wrote; a Verifier does so for a server, with bounded
//     memory and a cache of passwords that were right.
//   - Sealing: a Key seals small secrets and whole streams with
//     XChaCha20-Poly1305.
//
// There is no RC4 here (RFC 7465), no DIGEST-MD5 (RFC 6331), no unauthenticated
// AES: Refuse names the reason for whoever asks for one of them.
package cipher
