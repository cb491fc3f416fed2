package conf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/sys"
)

func (c *checker) tls() {
	t := &c.TLS
	switch t.MinVersion {
	case "1.2", "1.3":
	case "1.0", "1.1":
		c.fail(at("TLS", "min_version"), "TLS %s must not be used any more (RFC 8996); write \"1.2\"", t.MinVersion)
	default:
		c.fail(at("TLS", "min_version"), "%q is neither \"1.2\" nor \"1.3\"", t.MinVersion)
	}
	switch {
	case t.CertificateFile != "" && t.CertificateKeyFile == "":
		c.fail(at("TLS", "certificate_file"), "certificate_key_file is missing")
	case t.CertificateFile == "" && t.CertificateKeyFile != "":
		c.fail(at("TLS", "certificate_key_file"), "certificate_file is missing")
	case t.CertificateFile != "":
		c.certificate(at("TLS", "certificate_file"), at("TLS", "certificate_key_file"), t.CertificateFile, t.CertificateKeyFile)
	}
	for i, p := range t.Certificates {
		switch {
		case p.CertFile == "":
			c.fail(at("TLS", "certificates", i, "cert_file"), "missing")
		case p.KeyFile == "":
			c.fail(at("TLS", "certificates", i, "key_file"), "missing")
		default:
			c.certificate(at("TLS", "certificates", i, "cert_file"), at("TLS", "certificates", i, "key_file"), p.CertFile, p.KeyFile)
		}
	}
	needs := slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.TLS != TLSOff })
	if needs && !t.SelfSigned && t.CertificateFile == "" && len(t.Certificates) == 0 && !t.ACME.AcceptTerms {
		c.fail(at("TLS", "self_signed"), "there is no certificate, and none may be made; write certificate_file and certificate_key_file, or ACME")
	}
}

// certificate reads a pair as the server will.
func (c *checker) certificate(certAt, keyAt []any, certFile, keyFile string) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		c.fail(certAt, "%w", err)
	}
	key, keyErr := os.ReadFile(keyFile)
	if keyErr != nil {
		c.fail(keyAt, "%w", keyErr)
	} else if info, err := os.Stat(keyFile); err == nil && sys.Others(info.Mode())&0o007 != 0 {
		// Groups may read it: that is how Debian's ssl-cert shares keys.
		c.fail(keyAt, "everybody can read this key (mode %04o); run: chmod o= %s", info.Mode().Perm(), keyFile)
	}
	if err != nil || keyErr != nil {
		return
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		c.fail(certAt, "%w", explain(err))
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		c.fail(certAt, "%w", err)
		return
	}
	const minute = "2006-01-02 15:04 MST"
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		c.fail(certAt, "the certificate expired on %s", leaf.NotAfter.UTC().Format(minute))
	case now.Before(leaf.NotBefore):
		c.fail(certAt, "the certificate is valid only from %s on", leaf.NotBefore.UTC().Format(minute))
	}
}

// explain puts crypto/tls's commonest complaints in the words of who made the
// mistake.
func explain(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "private key does not match"):
		return errors.New("the certificate is not for this key; do the two belong together?")
	case strings.Contains(text, "failed to find any PEM data in certificate"):
		return errors.New("there is no certificate in PEM form in the file")
	case strings.Contains(text, "failed to find any PEM data in key"), strings.Contains(text, "found a certificate rather than a key"):
		return errors.New("there is no key in PEM form in the key's file")
	case strings.Contains(text, "PEM inputs may have been switched"):
		return errors.New("the file holds a key; are certificate and key switched?")
	}
	return err
}

// choice refuses a text that is not one of those given; the first stands for
// the default.
func (c *checker) choice(steps []any, text string, choices ...string) {
	if !slices.Contains(choices, text) {
		c.fail(steps, "%q is not one of %s", text, quoted(choices[1:]))
	}
}

func quoted(texts []string) string {
	q := make([]string, len(texts))
	for i, t := range texts {
		q[i] = fmt.Sprintf("%q", t)
	}
	return strings.Join(q, ", ")
}
