package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// Option changes the configuration that TLS.Config gives.
type Option func(*tls.Config)

// WithoutTickets switches session tickets off. A server on port 25 wants it:
// Microsoft's mail servers drop STARTTLS sessions in which a Go server sends
// tickets (https://go.dev/issue/70232), and mail between servers resumes no
// sessions worth having.
func WithoutTickets(c *tls.Config) { c.SessionTicketsDisabled = true }

// AskClientCertificate requests the client's certificate without insisting on
// one and without checking its chain: SASL EXTERNAL leaves the judgement to the
// one who knows the accounts.
func AskClientCertificate(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }

// Config gives a server's configuration that follows every Reload. It speaks
// TLS 1.2 and 1.3 (RFC 8996, RFC 8997) and leaves cipher suites and curves to
// Go's defaults, which know no RC4, 3DES or static RSA, prefer AEADs, and offer
// a post-quantum key exchange.
func (t *TLS) Config(options ...Option) *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: Noting(t.GetCertificate),
	}
	for _, o := range options {
		o(c)
	}
	return c
}

// GetCertificate chooses for a handshake, as Config does. The error is always nil.
func (t *TLS) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return t.now.Load().choose(hello), nil
}

// Covers reports whether one of the certificates is for that name, and not only the
// one for clients that ask for no name or an unknown one.
func (t *TLS) Covers(name string) bool { return len(t.now.Load().named(name)) > 0 }

// Certificates gives the leaf certificates in use, in the order of the pairs.
func (t *TLS) Certificates() []*x509.Certificate {
	var leaves []*x509.Certificate
	for _, c := range t.now.Load().certs {
		leaves = append(leaves, c.Leaf)
	}
	return leaves
}

func (t *TLS) expiring(before time.Time) []Expiry {
	var found []Expiry
	for i, c := range t.now.Load().certs {
		if c.Leaf.NotAfter.After(before) {
			continue
		}
		e := Expiry{Names: namesOf(c.Leaf), NotAfter: c.Leaf.NotAfter}
		if i < len(t.pairs) {
			e.File = t.pairs[i].Cert
		}
		found = append(found, e)
	}
	slices.SortStableFunc(found, func(a, b Expiry) int { return a.NotAfter.Compare(b.NotAfter) })
	return found
}

func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && leaf.Subject.CommonName != "" {
		names = []string{leaf.Subject.CommonName}
	}
	return names
}

func leafOf(cert *tls.Certificate) (*x509.Certificate, error) {
	if cert.Leaf != nil {
		return cert.Leaf, nil
	}
	if len(cert.Certificate) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return x509.ParseCertificate(cert.Certificate[0])
}
