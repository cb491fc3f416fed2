package web

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Object identifiers of RFC 5652, RFC 5754 and RFC 8017.
var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidECDSA         = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2} // with SHA-256
)

// The structures of RFC 5652 §5, as far as one signer with a certificate needs them.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      encapsulated
		Certificates asn1.RawValue
		Signers      []signerInfo `asn1:"set"`
	}
	encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	signerInfo struct {
		Version      int
		Signer       issuerAndSerial
		Digest       pkix.AlgorithmIdentifier
		SignedAttrs  asn1.RawValue
		Algorithm    pkix.AlgorithmIdentifier
		SignatureOct []byte
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []any `asn1:"set"`
	}
)

// ErrCannotSign: the certificate is one that nobody believes, or its key is of a kind that programs do not know here.
var ErrCannotSign = errors.New("there is no certificate to sign with")

// Signed is a file within a signature by the key of a certificate, whose chain is in it (RFC 5652): a device that believes the server believes it.
func Signed(file []byte, cert *tls.Certificate, now time.Time) ([]byte, error) {
	leaf, key, algorithm, err := signer(cert)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(file)
	attributes, err := attributesOf(digest[:], now)
	if err != nil {
		return nil, err
	}
	// What is signed is the set (§5.4), and what is sent has another tag.
	toSign := sha256.Sum256(slices.Concat([]byte{0x31}, attributes[1:]))
	signature, err := key.Sign(rand.Reader, toSign[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	sha := pkix.AlgorithmIdentifier{Algorithm: oidSHA256}
	chain, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: bytes.Join(cert.Certificate, nil)})
	if err != nil {
		return nil, err
	}
	inner, err := asn1.Marshal(signedData{
		Version: 1, Digests: []pkix.AlgorithmIdentifier{sha}, Content: encapsulated{oidData, file}, Certificates: asn1.RawValue{FullBytes: chain},
		Signers: []signerInfo{{
			Version: 1, Signer: issuerAndSerial{asn1.RawValue{FullBytes: leaf.RawIssuer}, leaf.SerialNumber}, Digest: sha,
			SignedAttrs: asn1.RawValue{FullBytes: attributes}, Algorithm: algorithm, SignatureOct: signature,
		}},
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}})
}

// signer is the certificate, its key, and how that signs.
func signer(cert *tls.Certificate) (leaf *x509.Certificate, key crypto.Signer, algorithm pkix.AlgorithmIdentifier, err error) {
	if cert == nil || len(cert.Certificate) == 0 {
		return nil, nil, algorithm, ErrCannotSign
	}
	if leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return nil, nil, algorithm, err
	}
	key, _ = cert.PrivateKey.(crypto.Signer)
	switch {
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject), key == nil:
		return nil, nil, algorithm, ErrCannotSign
	}
	switch key.Public().(type) {
	case *rsa.PublicKey:
		algorithm = pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}
	case *ecdsa.PublicKey:
		algorithm = pkix.AlgorithmIdentifier{Algorithm: oidECDSA}
	default:
		return nil, nil, algorithm, ErrCannotSign
	}
	return leaf, key, algorithm, nil
}

// attributesOf are those that are signed (§11), in DER's order, as they are sent: [0] IMPLICIT.
func attributesOf(digest []byte, now time.Time) ([]byte, error) {
	var all [][]byte
	for _, a := range []attribute{{oidContentType, []any{oidData}}, {oidSigningTime, []any{now.UTC()}}, {oidMessageDigest, []any{digest}}} {
		der, err := asn1.Marshal(a)
		if err != nil {
			return nil, err
		}
		all = append(all, der)
	}
	slices.SortFunc(all, bytes.Compare)
	return asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: bytes.Join(all, nil)})
}
