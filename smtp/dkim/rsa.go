package dkim

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"

	"filippo.io/bigmod"
)

// rsaKey verifies signatures of RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2.2) by one public key.
//
// crypto/rsa prepares the modulus anew for each signature, which is a third of what one costs, and most mail comes
// by few keys. bigmod is the arithmetic of crypto/rsa, assembly included, kept by its author for others. What is left to do here
// has no secrets, needs no constant time, and reads nothing of what a stranger made: the octets that
// only the right signature leads to are written down in full, and compared. Nothing is signed here.
type rsaKey struct {
	n *bigmod.Modulus
	e uint
}

// newRSAKey prepares a key that is usable.
func newRSAKey(public *rsa.PublicKey) (*rsaKey, error) {
	n, err := bigmod.NewModulus(public.N.Bytes())
	if err != nil {
		return nil, err
	}
	return &rsaKey{n, uint(public.E)}, nil
}

// sha256Prefix is the DER of a DigestInfo of SHA-256, but for the hash (RFC 8017 §9.2, note 1).
const sha256Prefix = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// verifies reports whether sig is the key's signature of a hash.
func (k *rsaKey) verifies(hash *[sha256.Size]byte, sig []byte) bool {
	if len(sig) != k.n.Size() {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(sig, k.n)
	if err != nil { // it is not below the modulus
		return false
	}
	got := bigmod.NewNat().ExpShortVarTime(s, k.e, k.n).Bytes(k.n)
	var room [maxBits / 8]byte
	want := append(room[:0], 0, 1)
	for range len(got) - len(sha256Prefix) - len(hash) - 3 {
		want = append(want, 0xff)
	}
	want = append(want, 0)
	want = append(want, sha256Prefix...)
	want = append(want, hash[:]...)
	return bytes.Equal(got, want)
}
