package lineserver

import (
	"crypto/tls"
	"errors"
	"strconv"
)

// TLSMode says when a connection is encrypted.
type TLSMode int

// The modes.
const (
	StartTLS    TLSMode = iota // when the client asks for it, and if there is a certificate
	RequireTLS                 // the same, and little is possible before it
	ImplicitTLS                // from the first octet (RFC 8314 §3)
)

// String is the mode's name.
func (m TLSMode) String() string {
	switch m {
	case StartTLS:
		return "StartTLS"
	case RequireTLS:
		return "RequireTLS"
	case ImplicitTLS:
		return "ImplicitTLS"
	}
	return strconv.Itoa(int(m))
}

// Check says why no connection could ever be encrypted as m wants it with c, which
// is nil where there is no TLS.
func (m TLSMode) Check(c *tls.Config) error {
	switch {
	case m != StartTLS && c == nil:
		return errors.New("TLSMode needs a TLSConfig")
	case c != nil && len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil:
		return errors.New("TLSConfig has no certificate: no handshake could succeed")
	}
	return nil
}

// WithKeyPair is c, or a new configuration if that is nil, with the certificate of
// two PEM files besides. c itself stays as it is.
func WithKeyPair(c *tls.Config, certFile, keyFile string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	} else {
		c = c.Clone()
	}
	c.Certificates = append(c.Certificates, cert)
	return c, nil
}
