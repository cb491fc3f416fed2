package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrNoBinding: the connection can give no channel binding: it is in the
// clear, or TLS 1.2 without the extended master secret (RFC 7627).
var ErrNoBinding = errors.New("certs: connection has no channel binding")

// ExporterBinding gives the connection's tls-exporter channel binding
// (RFC 9266), 32 bytes that both ends and nobody between them can compute.
func ExporterBinding(cs *tls.ConnectionState) ([]byte, error) {
	if cs == nil || !cs.HandshakeComplete {
		return nil, ErrNoBinding
	}
	// The context is a string of length zero (RFC 9266 §2), which under TLS 1.2
	// is not the same as none (RFC 5705 §4).
	b, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoBinding, err)
	}
	return b, nil
}

// UniqueBinding gives the connection's tls-unique channel binding (RFC 5929 §3),
// which clients from before RFC 9266 use under TLS 1.2. TLS 1.3 has none, and
// without the extended master secret it binds nothing (RFC 7627 §1).
func UniqueBinding(cs *tls.ConnectionState) ([]byte, error) {
	if _, err := ExporterBinding(cs); err != nil {
		return nil, err
	}
	if cs.Version >= tls.VersionTLS13 || len(cs.TLSUnique) == 0 {
		return nil, fmt.Errorf("%w named tls-unique", ErrNoBinding)
	}
	return cs.TLSUnique, nil
}

// EndPointBinding gives the tls-server-end-point channel binding (RFC 5929 §4)
// of a server that identifies itself by leaf: a hash of the certificate, SHA-256
// where its own signature uses MD5 or SHA-1. Certificates whose signature has
// no single hash (Ed25519) have no such binding.
func EndPointBinding(leaf *x509.Certificate) ([]byte, error) {
	var h crypto.Hash
	switch leaf.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.DSAWithSHA256, x509.ECDSAWithSHA256, x509.SHA256WithRSAPSS:
		h = crypto.SHA256
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h = crypto.SHA512
	default:
		return nil, fmt.Errorf("%w: certificate signed with %s", ErrNoBinding, leaf.SignatureAlgorithm)
	}
	d := h.New()
	d.Write(leaf.Raw)
	return d.Sum(nil), nil
}
