package web

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// issued is a certificate for a key, of an authority of the test, whose own is returned as PEM.
func issued(t *testing.T, key crypto.Signer) (*tls.Certificate, []byte) {
	t.Helper()
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	rootDER, err := x509.CreateCertificate(rand.Reader, authority, authority, root.Public(), root)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mail.test"}, DNSNames: []string{"mail.test"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), root)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, rootDER}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
}

// TestSigned: OpenSSL finds the signature good, whatever the key, and the file in it as it was; of one that was changed it does not.
func TestSigned(t *testing.T) {
	openssl := tool(t, "openssl")
	byRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	byECDSA, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := []byte("<?xml version=\"1.0\"?>\n<plist>a profile</plist>\n")
	for name, key := range map[string]crypto.Signer{"RSA": byRSA, "ECDSA": byECDSA} {
		cert, root := issued(t, key)
		signed, err := Signed(file, cert, time.Now())
		if err != nil {
			t.Fatal(name, err)
		}
		dir := t.TempDir()
		verify := func(signed []byte) ([]byte, error) {
			for name, text := range map[string][]byte{"signed": signed, "root": root} {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return exec.Command(openssl, "cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any", "-in", filepath.Join(dir, "signed"), "-CAfile", filepath.Join(dir, "root")).Output()
		}
		if out, err := verify(signed); err != nil || !bytes.Equal(out, file) {
			t.Errorf("%s: %v, %q", name, err, out)
		}
		if _, err := verify(bytes.Replace(signed, []byte("a profile"), []byte("b profile"), 1)); err == nil {
			t.Errorf("%s: what was changed is believed", name)
		}
	}
}

// TestCannotSign: a certificate that nobody believes signs nothing, nor does a key of a kind that programs do not know.
func TestCannotSign(t *testing.T) {
	_, odd, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := issued(t, odd)
	own := *cert
	own.Certificate = own.Certificate[1:] // signed by itself
	keyless := *cert
	keyless.PrivateKey = nil
	for name, c := range map[string]*tls.Certificate{"none": nil, "without a key": &keyless, "empty": {}, "Ed25519": cert, "self-signed": &own} {
		if _, err := Signed([]byte("x"), c, time.Now()); !errors.Is(err, ErrCannotSign) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
