// Package sealedmail keeps a mailbox's messages so that only the mailbox's owner
// can read them: each message is encrypted to the mailbox's public key when it
// is delivered, and the private key lies wrapped under the owner's password,
// which the server has only while the owner logs in.
//
// Messages are files in the age format (https://age-encryption.org/v1), one
// X25519 recipient each, so that the owner can open them without this package:
//
//	age -d -i keys.txt message
//
// with the keys Unlocked.Identities gives.
//
// A Keyring is what the server stores per mailbox. It holds no secret in clear:
// the public key mail is sealed to, and the private keys under a random ring key, which is
// wrapped under each password (argon2id, RFC 9106; XChaCha20-Poly1305), each app password, and a
// recovery key that the owner keeps on paper. So a password can be
// changed without touching mail, a forgotten one replaced with the recovery
// key, and the mailbox key exchanged for new mail while old mail stays readable.
//
// Whoever controls the running server sees mail as it comes in and the password
// at login; what this protects is mail at rest: the disk, its backups, and
// whoever copies them.
//
// It is a package of its own, and not part of package cipher, so that programs
// that want certificates or passwords do not take the age library along.
package sealedmail
