package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"strings"
)

// Sizes of RSA keys that are used, in bits (RFC 8301 §3.2). Smaller ones can be broken.
// Larger ones would let a stranger choose how long we calculate.
const (
	minBits = 1024
	maxBits = 4096
)

// maxExponent bounds RSA's public exponent for the same reason. Programs that make keys take 3 or 65537.
const maxExponent = 65537

// maxRecord is the length of the longest key record that is read, in octets. The key of
// 4096 bits has about 740.
const maxRecord = 4096

// Key is a public key as a domain publishes it in the DNS (RFC 6376 §3.6.1).
type Key struct {
	// Public is an *rsa.PublicKey or an ed25519.PublicKey; nil if the key was revoked.
	Public crypto.PublicKey
	// Type is "rsa" or "ed25519".
	Type string
	// Bits is the size of the key: of RSA's modulus, or 256; 0 if it was revoked.
	Bits int
	// Testing is t=y: the domain is only trying DKIM out.
	Testing bool
	// Strict is t=s: i= may not be of a subdomain.
	Strict bool
	// Hashes and Services are h= and s=, lists with colons; empty: all.
	Hashes, Services string

	use outcome // why no signature is good with it, whatever its size
	rsa *rsaKey // Public, where it is of RSA
}

// RecordName is where the key of a selector stands in the DNS, with a dot at the end.
func RecordName(selector, domain string) string {
	return selector + "._domainkey." + domain + "."
}

// KeyError says what is wrong with a key record.
type KeyError struct{ Reason Reason }

func (e *KeyError) Error() string { return "dkim: " + string(e.Reason) }

// ParseKey reads a key record: the strings of one TXT record, joined. An error is a
// *KeyError. A revoked key is no error, and has no Public. Keys that verifiers
// refuse, as they are too small or too large, are an error; no arithmetic is done with them.
func ParseKey(record string) (*Key, error) {
	k, wrong := parseKey(record)
	if wrong.reason == "" {
		wrong = k.use
	}
	if wrong.reason != "" && wrong.reason != reasonKeyRevoked {
		return nil, &KeyError{wrong.reason}
	}
	return k, nil
}

// parseKey reads a key record. What is wrong with the key itself, and not with the record, is in use.
func parseKey(record string) (*Key, outcome) {
	if len(record) > maxRecord {
		return nil, permanent(reasonKeyTooLong)
	}
	var room [12]tag
	tags, reason := parseTags(room[:0], record)
	if reason != "" {
		return nil, permanent(reason)
	}
	if v, ok := lookup(tags, "v"); ok && (v.value != "DKIM1" || tags[0].name != "v") {
		return nil, permanent(reasonKeyVersion)
	}
	k := &Key{Type: "rsa"}
	if t, ok := lookup(tags, "k"); ok {
		k.Type = strings.ToLower(t.value)
	}
	if h, ok := lookup(tags, "h"); ok {
		k.Hashes = strings.Clone(h.value)
	}
	if s, ok := lookup(tags, "s"); ok {
		k.Services = strings.Clone(s.value)
	}
	if flags, ok := lookup(tags, "t"); ok {
		k.Testing, k.Strict = listed(flags.value, "y"), listed(flags.value, "s")
	}
	p, ok := lookup(tags, "p")
	if !ok {
		return nil, permanent(reasonKeyMissing)
	}
	if k.Type != "rsa" && k.Type != "ed25519" {
		return nil, permanent(reasonKeyType)
	}
	if p.value == "" {
		k.use = permanent(reasonKeyRevoked)
		return k, outcome{}
	}
	k.use = k.parsePublic(unspaced(p.value))
	return k, outcome{}
}

// parsePublic reads p=.
func (k *Key) parsePublic(p string) outcome {
	octets, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return permanent(reasonKeyBase64)
	}
	if k.Type == "ed25519" { // RFC 8463 §4: the key alone
		if len(octets) != ed25519.PublicKeySize {
			return permanent(reasonKeyForm)
		}
		k.Public, k.Bits = ed25519.PublicKey(octets), 8*len(octets)
		return outcome{}
	}
	public, err := parseRSA(octets)
	if err != nil {
		return permanent(reasonKeyForm)
	}
	k.Bits = public.N.BitLen()
	if o := usable(public); o.reason != "" {
		return o
	}
	if k.rsa, err = newRSAKey(public); err != nil {
		return permanent(reasonKeyForm)
	}
	k.Public = public
	return outcome{}
}

// rsaEncryption is the algorithm of RSA keys (RFC 8017 appendix C).
var rsaEncryption = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// parseRSA reads a SubjectPublicKeyInfo, which everybody publishes, or the bare RSAPublicKey
// that RFC 6376 §3.6.1 describes. It only reads; other kinds of keys are not looked into.
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &info)
	if err == nil && len(rest) == 0 && info.Algorithm.Algorithm.Equal(rsaEncryption) {
		der = info.Key.RightAlign()
	}
	return x509.ParsePKCS1PublicKey(der)
}

// usable says what is wrong with a key before anything is calculated with it.
func usable(k *rsa.PublicKey) outcome {
	switch bits := k.N.BitLen(); {
	case bits < minBits:
		return outcome{Policy, reasonKeySmall}
	case bits > maxBits:
		return outcome{Policy, reasonKeyLarge}
	case k.E < 3 || k.E > maxExponent || k.E&1 == 0 || k.N.Bit(0) == 0:
		return outcome{Policy, reasonKeyExponent}
	}
	return outcome{}
}

// fits says why the key is not for a signature.
func (k *Key) fits(s *signature) outcome {
	switch {
	case k.Type == "rsa" != (s.algorithm == algorithmRSA):
		return permanent(reasonKeyAlgorithm)
	case k.Hashes != "" && !listed(k.Hashes, "sha256"):
		return permanent(reasonKeyHash)
	case k.Services != "" && !listed(k.Services, "*") && !listed(k.Services, "email"):
		return permanent(reasonKeyService)
	case k.Strict && s.identity[strings.LastIndexByte(s.identity, '@')+1:] != s.domain:
		return permanent(reasonKeyStrict)
	}
	return k.use
}

// chooseRecord finds the key record among the TXT records of its name. Records that begin
// with another version are none (RFC 6376 §3.6.1), and others may stand there because of a wildcard.
func chooseRecord(texts []string) (string, outcome) {
	found, n := "", 0
	for _, t := range texts {
		if len(t) <= maxRecord && isOtherRecord(t) {
			continue
		}
		found = t
		n++
	}
	switch {
	case n == 1:
		return found, outcome{}
	case n > 1: // RFC 6376 §3.6.2.2: undefined
		return "", permanent(reasonSeveralKeys)
	}
	return "", permanent(reasonNoKey)
}

// isOtherRecord reports whether a TXT record has nothing of a key.
func isOtherRecord(text string) bool {
	var room [12]tag
	tags, reason := parseTags(room[:0], text)
	if reason == "" {
		_, key := lookup(tags, "p")
		v, version := lookup(tags, "v")
		return !key && !(version && v.value == "DKIM1")
	}
	return !strings.Contains(text, "DKIM1") && !strings.Contains(text, "p=")
}
