// Package seal encrypts secrets at rest under a key that a file holds.
//
//	key, _, err := seal.EnsureKey("/etc/postrider/secret.key")
//	text, err := key.SealText(secret, []byte("apop:alice@example.com"))
//
// A Key seals small secrets, as bytes or as text for configuration files, and
// whole streams in constant memory, with XChaCha20-Poly1305 and
// ChaCha20-Poly1305. What is sealed is bound to a context, so that it opens in
// its own place only.
package seal
