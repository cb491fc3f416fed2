package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// raw makes the signature that leads to the octets of em, whatever they are.
func raw(k *rsa.PrivateKey, em []byte) []byte {
	s := new(big.Int).Exp(new(big.Int).SetBytes(em), k.D, k.N)
	return s.FillBytes(make([]byte, k.Size()))
}

// keyOf makes a key with an exponent that crypto/rsa does not choose.
func keyOf(t *testing.T, bits int, e int64) *rsa.PrivateKey {
	t.Helper()
	one, exponent := big.NewInt(1), big.NewInt(e)
	for range 10_000 {
		p, err1 := rand.Prime(rand.Reader, bits/2)
		q, err2 := rand.Prime(rand.Reader, bits-bits/2)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(exponent, phi)
		if d != nil && n.BitLen() == bits && p.Cmp(q) != 0 {
			return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e)}, D: d, Primes: []*big.Int{p, q}}
		}
	}
	t.Fatal("no key")
	return nil
}

// TestRSA: signatures are good and bad as they are for crypto/rsa, which is the judge of each.
func TestRSA(t *testing.T) {
	hash := sha256.Sum256([]byte("a header"))
	other := sha256.Sum256([]byte("another"))
	for _, tt := range []struct {
		bits int
		e    int64
	}{{1024, 3}, {1024, 65537}, {1025, 65537}, {1031, 17}, {1088, 257}, {2048, 65537}, {2047, 3}} {
		private := keyOf(t, tt.bits, tt.e)
		k, err := newRSAKey(&private.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		size := private.Size()
		good, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, hash[:])
		if err != nil {
			t.Fatal(err)
		}
		em := func(before string, info string, after string) []byte {
			b := []byte(before)
			for len(b)+1+len(info)+len(after) < size {
				b = append(b, 0xff)
			}
			b = append(b, 0)
			return append(append(b, info...), after...)
		}
		digest := string(hash[:])
		info := sha256Prefix + digest
		n := private.N.FillBytes(make([]byte, size))
		less := new(big.Int).Sub(private.N, big.NewInt(1)).FillBytes(make([]byte, size))
		zero := make([]byte, size)
		unhex := func(s string) string { b, _ := hex.DecodeString(s); return string(b) }
		broken := em("\x00\x01", info, "")
		broken[5] = 0xfe
		early := em("\x00\x01", info, "")
		early[10] = 0
		sigs := map[string][]byte{
			"good":                       good,
			"by hand":                    raw(private, em("\x00\x01", info, "")),
			"empty":                      {},
			"zero":                       zero,
			"one":                        append(bytes.Clone(zero[1:]), 1),
			"the modulus":                n,
			"the modulus less one":       less,
			"all ones":                   bytes.Repeat([]byte{0xff}, size),
			"cut":                        good[:size-1],
			"cut in front":               good[1:],
			"longer":                     append(bytes.Clone(good), 0),
			"longer in front":            append([]byte{0}, good...),
			"negative":                   new(big.Int).Sub(private.N, new(big.Int).SetBytes(good)).FillBytes(make([]byte, size)),
			"type 2":                     raw(private, em("\x00\x02", info, "")),
			"type 0":                     raw(private, em("\x00\x00", info, "")),
			"garbage behind":             raw(private, em("\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff", info, strings.Repeat("\x00", 20))),
			"no NULL":                    raw(private, em("\x00\x01", unhex("302f300b0609608648016503040201")+"\x04\x20"+digest, "")),
			"long form of the length":    raw(private, em("\x00\x01", unhex("308131300d060960864801650304020105000420")+digest, "")),
			"no prefix":                  raw(private, em("\x00\x01", digest, "")),
			"SHA-1":                      raw(private, em("\x00\x01", unhex("3021300906052b0e03021a05000414")+digest[:20], "")),
			"SHA-512":                    raw(private, em("\x00\x01", unhex("3051300d060960864801650304020305000440")+digest+digest, "")),
			"SHA-224":                    raw(private, em("\x00\x01", unhex("302d300d06096086480165030402040500041c")+digest[:28], "")),
			"padding that is none":       raw(private, broken),
			"padding that ends early":    raw(private, early),
			"another hash":               raw(private, em("\x00\x01", sha256Prefix+string(other[:]), "")),
			"the hash's last octet less": raw(private, em("\x00\x01", info[:len(info)-1], "")),
		}
		if sum := new(big.Int).Add(private.N, new(big.Int).SetBytes(good)); sum.BitLen() <= 8*size {
			sigs["the same and the modulus"] = sum.FillBytes(make([]byte, size))
		}
		for i := 0; i < 8*size; i += 97 {
			bad := bytes.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			sigs["bit "+string(rune('0'+i%10))+hex.EncodeToString([]byte{byte(i >> 8), byte(i)})] = bad
		}
		for name, sig := range sigs {
			want := rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, hash[:], sig) == nil
			if want != slices.Contains([]string{"good", "by hand"}, name) {
				t.Fatalf("%d bits, %s: crypto/rsa says %v", tt.bits, name, want)
			}
			if got := k.verifies(&hash, sig); got != want {
				t.Errorf("%d bits, %s: %v", tt.bits, name, got)
			}
		}
		if k.verifies(&other, good) {
			t.Errorf("%d bits: good for another hash", tt.bits)
		}
	}
}

// TestRSARandom: whatever is signed is good, by whoever makes it.
func TestRSARandom(t *testing.T) {
	private := keyOf(t, 1024, 65537)
	k, err := newRSAKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		var hash [sha256.Size]byte
		rand.Read(hash[:])
		sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, hash[:])
		if err != nil || !k.verifies(&hash, sig) {
			t.Fatalf("%x: %v", hash, err)
		}
		rand.Read(sig[1:])
		if got, want := k.verifies(&hash, sig), rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, hash[:], sig) == nil; got != want {
			t.Fatalf("%x: %x: %v", hash, sig, got)
		}
	}
}

// TestRSAEven: with a modulus or an exponent that nobody's key has, nothing is calculated: the
// arithmetic takes odd ones alone, and would end the program.
func TestRSAEven(t *testing.T) {
	odd := keyOf(t, 1024, 65537).N
	for name, public := range map[string]*rsa.PublicKey{
		"modulus":  {N: new(big.Int).Sub(odd, big.NewInt(1)), E: 65537},
		"exponent": {N: odd, E: 65536},
		"one":      {N: odd, E: 1},
	} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseKey("v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der))
		if err == nil {
			t.Errorf("%s: the key is taken", name)
		}
	}
}
