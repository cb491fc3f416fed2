package accounts

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// certificates are those that clients show in TLS, from one authority. Whoever shows one has proved in the handshake that he has its key
// (RFC 8446 §4.4.3); what is left is whether it counts, and whose it is.
type certificates struct {
	roots       *x509.CertPool
	authorities []*x509.Certificate
	name        string // "email" or "cn"
	crlFile     string

	mu   sync.Mutex
	crl  []*x509.RevocationList // one of each authority that has some
	read os.FileInfo            // crlFile as it was when it was read
}

// openCertificates reads the authority of the settings.
func openCertificates(s *conf.Settings) (*certificates, error) {
	c := s.Elsewhere.Certificates
	if c.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("authority of clients: %w", err)
	}
	all := &certificates{roots: x509.NewCertPool(), name: c.Name, crlFile: c.CRLFile}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("authority of clients: %s: %w", c.CAFile, err)
		}
		all.roots.AddCert(cert)
		all.authorities = append(all.authorities, cert)
	}
	return all, nil
}

// ClientAuthorities are those whose certificates clients are asked for; nil: for none.
func (c *Credentials) ClientAuthorities() *x509.CertPool {
	if c.dir.elsewhere == nil || c.dir.elsewhere.certs == nil {
		return nil
	}
	return c.dir.elsewhere.certs.roots
}

// ShowsCertificate reports whether a client has shown a certificate that counts, so that a login by it makes sense; or one of which that cannot be
// found out now: then a login is a temporary failure, and not a mechanism that is not there.
func (c *Credentials) ShowsCertificate(state *tls.ConnectionState) bool {
	if state == nil || c.ClientAuthorities() == nil {
		return false
	}
	err := c.dir.elsewhere.certs.check(state)
	return err == nil || errors.Is(err, errCRL)
}

// Certificate implements sasl.Certificates. A certificate that does not count is no guess.
func (c *Credentials) Certificate(ctx context.Context, authzid string) (string, error) {
	state := sasl.PeerOf(ctx).TLS
	if state == nil || c.ClientAuthorities() == nil {
		return "", sasl.ErrDenied
	}
	certs := c.dir.elsewhere.certs
	if err := certs.check(state); err != nil {
		if errors.Is(err, errCRL) {
			return "", err
		}
		c.judge(ctx, "certificate", sasl.ErrDenied)
		return "", fmt.Errorf("%w: %w", sasl.ErrDenied, err)
	}
	// Of several names those count that have an account; it must be one, or the one that the client asks to be.
	var found []domains.Address
	by := ""
	for _, name := range certs.names(state.PeerCertificates[0]) {
		account, as, err := c.holder(ctx, name)
		if errors.Is(err, sasl.ErrDenied) {
			continue
		}
		is := false
		if err == nil {
			is, err = c.isCalled(ctx, account, authzid)
		}
		switch {
		case err != nil:
			return "", err
		case is && (len(found) == 0 || found[0] != account):
			found, by = append(found, account), c.holds(account, as)
		}
	}
	if len(found) != 1 {
		c.judge(ctx, "certificate", sasl.ErrDenied)
		return "", sasl.ErrDenied
	}
	c.open.note(ctx, found[0], by)
	return found[0].String(), nil
}

// errCRL: the list of revoked certificates cannot be used, and so it is not known which count.
var errCRL = errors.New("the list of revoked certificates cannot be used")

// check verifies the certificate a client has shown, at this moment: the connection may be older than its end, and TLS goes on with what
// was shown before a pause.
func (c *certificates) check(state *tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no certificate was shown")
	}
	leaf, between := state.PeerCertificates[0], x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: c.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil || c.crlFile == "" {
		return err
	}
	lists, err := c.revoked()
	if err != nil {
		return fmt.Errorf("%w: %w", errCRL, err)
	}
	for _, crl := range lists {
		for _, cert := range chains[0] {
			for _, r := range crl.RevokedCertificateEntries {
				if bytes.Equal(cert.RawIssuer, crl.RawIssuer) && cert.SerialNumber.Cmp(r.SerialNumber) == 0 {
					return errors.New("the certificate was revoked")
				}
			}
		}
	}
	return nil
}

// revoked are the lists of the authorities, as they are in their file now.
func (c *certificates) revoked() ([]*x509.RevocationList, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.crlFile)
	if err != nil {
		return nil, err
	}
	if c.read == nil || !os.SameFile(info, c.read) || info.Size() != c.read.Size() || !info.ModTime().Equal(c.read.ModTime()) {
		crl, err := c.readCRL()
		if err != nil {
			return nil, err
		}
		c.crl, c.read = crl, info
	}
	for _, crl := range c.crl {
		if now := time.Now(); !crl.NextUpdate.IsZero() && now.After(crl.NextUpdate) {
			return nil, fmt.Errorf("%s is out of date since %s", c.crlFile, crl.NextUpdate.UTC().Format(time.RFC3339))
		}
	}
	return c.crl, nil
}

// readCRL reads all lists of the file: one that is passed over would let in whom it names.
func (c *certificates) readCRL() (all []*x509.RevocationList, err error) {
	text, err := os.ReadFile(c.crlFile)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil { // DER, which is one
		block, rest = &pem.Block{Bytes: text}, nil
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		crl, err := c.parseCRL(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, crl)
	}
	return all, nil
}

func (c *certificates) parseCRL(der []byte) (*x509.RevocationList, error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.crlFile, err)
	}
	for _, a := range c.authorities {
		if crl.CheckSignatureFrom(a) == nil {
			return crl, nil
		}
	}
	return nil, fmt.Errorf("%s is not signed by the authority", c.crlFile)
}

// names are those in a certificate that may be accounts.
func (c *certificates) names(cert *x509.Certificate) []string {
	if c.name == "cn" {
		if cert.Subject.CommonName == "" {
			return nil
		}
		return []string{cert.Subject.CommonName}
	}
	return cert.EmailAddresses
}
