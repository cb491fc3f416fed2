package peertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Authority issues certificates that only those who are told believe.
type Authority struct {
	// PEM is its own certificate; Pool holds it alone.
	PEM  string
	Pool *x509.CertPool

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Certificate is one that an Authority issued, with its key, for files (PEM)
// and for servers in Go.
type Certificate struct {
	PEM, KeyPEM string
	TLS         tls.Certificate
}

// NewAuthority makes an authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Pool: x509.NewCertPool()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "peertest authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	var der []byte
	der, a.key = sign(t, template, nil, nil)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Pool.AddCert(a.cert)
	a.PEM = block("CERTIFICATE", der)
	return a
}

// DER is its own certificate.
func (a *Authority) DER() []byte { return a.cert.Raw }

// Issue makes a certificate for names and IP addresses.
func (a *Authority) Issue(t testing.TB, names ...string) Certificate {
	t.Helper()
	return a.IssueUntil(t, time.Now().Add(24*time.Hour), names...)
}

// IssueUntil is Issue for a certificate that ends at some time, which may be over.
func (a *Authority) IssueUntil(t testing.TB, end time.Time, names ...string) Certificate {
	t.Helper()
	template := &x509.Certificate{
		NotBefore: end.Add(-48 * time.Hour), NotAfter: end,
		Subject:  pkix.Name{CommonName: names[0]},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, key := sign(t, template, a.cert, a.key)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := Certificate{PEM: block("CERTIFICATE", der), KeyPEM: block("PRIVATE KEY", keyDER)}
	if c.TLS, err = tls.X509KeyPair([]byte(c.PEM), []byte(c.KeyPEM)); err != nil {
		t.Fatal(err)
	}
	return c
}

// sign makes a key and its certificate, by itself without an issuer.
func sign(t testing.TB, template, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
