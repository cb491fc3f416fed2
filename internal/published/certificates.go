package published

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/zone"
)

// TLSKeys are the keys that a client which asks for the server's name is shown, and the one it will be shown next.
func TLSKeys(s *conf.Settings) (keys []zone.TLSKey) {
	host := canonical(s.ServerName)
	for _, leaf := range certificatesFor(s, host) {
		key := zone.TLSKey{SPKI: sha256.Sum256(leaf.RawSubjectPublicKeyInfo)}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if next, err := s.DNS.NextKey(); err == nil && next != nil { // "check" tells of an error
		key := zone.TLSKey{SPKI: sha256.Sum256(next), Next: true}
		if !slices.Contains(keys, zone.TLSKey{SPKI: key.SPKI}) {
			keys = append(keys, key)
		}
	}
	return keys
}

// certificatesFor are the certificates for a name: those of files that are for it, else
// those an authority issued for it, else the first there is.
func certificatesFor(s *conf.Settings, host string) []*x509.Certificate {
	var files []string
	if s.TLS.CertificateFile != "" {
		files = append(files, s.TLS.CertificateFile)
	}
	for _, c := range s.TLS.Certificates {
		files = append(files, c.CertFile)
	}
	var fallback []*x509.Certificate
	for _, file := range files {
		leaf := leafOf(file)
		if leaf != nil && leaf.VerifyHostname(host) == nil {
			return []*x509.Certificate{leaf}
		}
		if leaf != nil && fallback == nil {
			fallback = []*x509.Certificate{leaf}
		}
	}
	if a := s.TLS.ACME; a.AcceptTerms {
		name := canonical(a.Names[0])
		if slices.ContainsFunc(a.Names, func(n string) bool { return canonical(n) == host }) {
			name = host
		}
		var issued []*x509.Certificate
		for _, kind := range []string{"", "+rsa"} {
			if leaf := leafOf(filepath.Join(a.Folder, name+kind)); leaf != nil {
				issued = append(issued, leaf)
			}
		}
		return issued
	}
	if fallback == nil {
		if leaf := leafOf(SelfSigned(s).Cert); leaf != nil {
			fallback = []*x509.Certificate{leaf}
		}
	}
	return fallback
}

// leafOf is the first certificate of a file; a key may stand before it.
func leafOf(file string) *x509.Certificate {
	text, _ := os.ReadFile(file)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			leaf, _ := x509.ParseCertificate(block.Bytes)
			return leaf
		}
	}
	return nil
}

// issuers are the authorities that may issue certificates for the names of this
// host; nil where it is not known by what name their CAA records call them.
func issuers(s *conf.Settings) (all []zone.CAA) {
	a := s.TLS.ACME
	if !a.AcceptTerms || !strings.Contains(a.Directory, ".letsencrypt.org/") {
		return nil
	}
	account := acme.AccountURI(a.Folder, a.Directory)
	for _, name := range a.Names {
		all = append(all, zone.CAA{Name: canonical(name), Issuer: "letsencrypt.org", Account: account, Method: a.Challenge})
	}
	return all
}

// SelfSigned is where the certificate stands that the server makes for itself.
func SelfSigned(s *conf.Settings) certs.Keypair {
	dir := filepath.Join(s.DataDir, "tls")
	return certs.Keypair{Cert: filepath.Join(dir, "self-signed.crt"), Key: filepath.Join(dir, "self-signed.key")}
}
