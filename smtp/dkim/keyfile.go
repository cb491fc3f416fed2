package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// GenerateKey makes a private key of a type: "rsa" (2048 bits, which everybody verifies and which fits into
// every DNS) or "ed25519" (which not all receivers know: not to be the only one).
func GenerateKey(typ string) (crypto.Signer, error) {
	switch typ {
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, &KeyError{reasonKeyType}
}

// FormatKey returns a private key as a PEM file (PKCS #8).
func FormatKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ReadKey reads the text of a private key file as the programs of this trade write it: PEM with
// PKCS #1 or PKCS #8 (openssl, opendkim-genkey, rspamadm, dknewkey), or the base64 of an
// ed25519 seed or key alone (dknewkey, rspamadm).
func ReadKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return readBareKey(text)
	}
	var key any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		err = errors.New("the key is encrypted with a password")
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		err = fmt.Errorf("%q is no private key for DKIM", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, &KeyError{reasonKeyType}
	}
	if err := checkPublic(signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

// readBareKey reads base64 of an ed25519 seed, or of seed and public key.
func readBareKey(text []byte) (crypto.Signer, error) {
	octets, err := base64.StdEncoding.DecodeString(unspaced(string(text)))
	if err != nil || len(octets) != ed25519.SeedSize && len(octets) != ed25519.PrivateKeySize {
		return nil, errors.New("dkim: neither PEM nor the base64 of an ed25519 key")
	}
	key := ed25519.NewKeyFromSeed(octets[:ed25519.SeedSize])
	if len(octets) == ed25519.PrivateKeySize && !bytes.Equal(key, octets) {
		return nil, errors.New("dkim: the two halves of the ed25519 key do not belong together")
	}
	return key, nil
}

// Record returns the TXT record that publishes a public key, an *rsa.PublicKey or an ed25519.PublicKey, at
// RecordName: v=, k= and p=, and nothing that limits what the key is good for.
func Record(public crypto.PublicKey) (string, error) {
	if err := checkPublic(public); err != nil {
		return "", err
	}
	if key, ok := public.(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key), nil
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("dkim: %w", err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
}
