package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/postrider-mail/postrider/cipher/internal/private"
)

// selfSignedFor is how long a self-signed certificate is good for: the longest
// that Apple's clients take (825 days).
const selfSignedFor = 825 * 24 * time.Hour

// SelfSigned makes a P-256 ECDSA key and a certificate for the names, DNS names
// or IP addresses, signed with itself, as PEM. It is valid from an hour ago
// (clocks differ) for 825 days.
func SelfSigned(names ...string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("certs: generate key: %w", err)
	}
	if certPEM, err = selfSign(key, names); err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("certs: encode key: %w", err)
	}
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// selfSign makes SelfSigned's certificate for a key.
func selfSign(key crypto.Signer, names []string) (certPEM []byte, err error) {
	if len(names) == 0 {
		return nil, errors.New("certs: self-signed certificate for no name")
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("certs: generate serial number: %w", err)
	}
	from := time.Now().Add(-time.Hour).Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: names[0]},
		NotBefore:             from,
		NotAfter:              from.Add(selfSignedFor),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certs: sign certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// EnsureSelfSigned makes the pair's files (0600, their folders 0700) with a
// self-signed certificate for the names, unless both are there already. A key
// that is there alone gets a certificate (a crash came between the two, or the
// certificate was removed because it expires, and what others know of the key
// stays true). A certificate without its key is an error.
func EnsureSelfSigned(pair Keypair, names ...string) (created bool, err error) {
	haveCert, err := exists(pair.Cert)
	if err != nil {
		return false, err
	}
	haveKey, err := exists(pair.Key)
	if err != nil {
		return false, err
	}
	switch {
	case haveCert && haveKey:
		return false, nil
	case haveCert:
		return false, fmt.Errorf("certs: %s is there, and its key %s is not", pair.Cert, pair.Key)
	case haveKey:
		return certify(pair, names)
	case pair.Cert == pair.Key:
		return false, fmt.Errorf("certs: make %s: certificate and key need a file each", pair.Cert)
	}
	certPEM, keyPEM, err := SelfSigned(names...)
	if err != nil {
		return false, err
	}
	if err := private.Create(pair.Key, keyPEM); err != nil {
		return false, err
	}
	if err := private.Create(pair.Cert, certPEM); err != nil {
		os.Remove(pair.Key)
		return false, err
	}
	return true, nil
}

// certify makes the certificate of a key that is there.
func certify(pair Keypair, names []string) (created bool, err error) {
	text, err := os.ReadFile(pair.Key)
	if err != nil {
		return false, fmt.Errorf("certs: read private key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return false, fmt.Errorf("certs: %s holds no key of ours, and there is no certificate", pair.Key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return false, fmt.Errorf("certs: read %s: %w", pair.Key, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false, fmt.Errorf("certs: %s holds a key that cannot sign", pair.Key)
	}
	certPEM, err := selfSign(signer, names)
	if err != nil {
		return false, err
	}
	return true, private.Create(pair.Cert, certPEM)
}

func exists(name string) (bool, error) {
	_, err := os.Stat(name)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, fmt.Errorf("certs: look for file: %w", err)
}
