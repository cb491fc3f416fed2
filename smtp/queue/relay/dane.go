package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/smtp/resolver"
)

// The fields of TLSA records that SMTP uses (RFC 7672 §3.1).
const (
	daneTA = 2 // a trust anchor, found in the chain the server shows
	daneEE = 3 // the server's own certificate or key
)

// usable reports whether a TLSA record can be satisfied at all: the usages of the
// public PKI are not for SMTP (RFC 7672 §3.1.3).
func usable(t resolver.TLSA) bool {
	if t.Usage != daneTA && t.Usage != daneEE || t.Selector > 1 {
		return false
	}
	switch t.Matching {
	case 0:
		if t.Selector == 0 {
			_, err := x509.ParseCertificate(t.Data)
			return err == nil
		}
		_, err := x509.ParsePKIXPublicKey(t.Data)
		return err == nil
	case 1:
		return len(t.Data) == sha256.Size
	case 2:
		return len(t.Data) == sha512.Size
	}
	return false
}

// matches compares a record with a certificate (RFC 6698 §2.1.2, §2.1.3).
func matches(t resolver.TLSA, cert *x509.Certificate) bool {
	selected := cert.Raw
	if t.Selector == 1 {
		selected = cert.RawSubjectPublicKeyInfo
	}
	switch t.Matching {
	case 0:
		return bytes.Equal(selected, t.Data)
	case 1:
		sum := sha256.Sum256(selected)
		return bytes.Equal(sum[:], t.Data)
	case 2:
		sum := sha512.Sum512(selected)
		return bytes.Equal(sum[:], t.Data)
	}
	return false
}

// verifyDANE checks what a server showed against the usable records of a host.
// names are those its certificate may be for: the host, and where they are
// validated, the end of its CNAMEs and the recipient's domain (RFC 7672 §3.2.2).
func verifyDANE(records []resolver.TLSA, chain []*x509.Certificate, names []string, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	err := errors.New("no TLSA record matches the certificate")
	for _, t := range records {
		switch t.Usage {
		case daneEE:
			// Names and dates in the certificate do not count (RFC 7672 §3.1.1).
			if matches(t, chain[0]) {
				return nil
			}
		case daneTA:
			e := verifyAnchor(t, chain, names, now)
			if e == nil {
				return nil
			}
			if !errors.Is(e, errNoAnchor) {
				err = e
			}
		}
	}
	return err
}

var errNoAnchor = errors.New("no certificate of the chain matches")

func verifyAnchor(t resolver.TLSA, chain []*x509.Certificate, names []string, now time.Time) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	found := false
	if t.Selector == 0 && t.Matching == 0 {
		// The anchor itself is in the DNS and need not be in the chain.
		if ta, err := x509.ParseCertificate(t.Data); err == nil {
			roots.AddCert(ta)
			found = true
		}
	}
	for _, cert := range chain {
		if matches(t, cert) {
			roots.AddCert(cert)
			found = true
		} else {
			others.AddCert(cert)
		}
	}
	if !found {
		return errNoAnchor
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := chain[0].Verify(opts); err != nil {
		return err
	}
	return matchName(chain[0], names)
}

func matchName(cert *x509.Certificate, names []string) error {
	var err error
	for _, name := range names {
		if err = cert.VerifyHostname(name); err == nil {
			return nil
		}
	}
	return err
}

// lookupTLSA returns the TLSA records of a target, or nil where DANE does not
// apply: an answer that is not validated counts for nothing (RFC 7672 §2.1.1).
// base is the name they were found under, which is the one to say in SNI. An
// error means that nobody knows whether there are any, so that the host must
// not be used (RFC 7672 §2.1.2).
func (r *Relay) lookupTLSA(ctx context.Context, t target) (records []resolver.TLSA, base string, err error) {
	if !t.secure || t.literal {
		return nil, "", nil
	}
	bases := []string{t.name}
	if !strings.EqualFold(t.name, t.host) {
		bases = append(bases, t.host)
	}
	for _, base := range bases {
		a, err := r.Resolver.TLSA(ctx, fmt.Sprintf("_%d._tcp.%s", t.addr.Port(), base))
		if errors.Is(err, resolver.ErrNoName) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if a.Secure && len(a.Records) > 0 {
			return a.Records, base, nil
		}
	}
	return nil, "", nil
}
