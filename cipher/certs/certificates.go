package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Keypair names the two PEM files of one certificate: the chain, leaf first,
// and its private key. They may be the same file.
type Keypair struct{ Cert, Key string }

// TLS is a set of certificates that a server chooses from by the name the
// client asks for. It may be reloaded while it is used.
type TLS struct {
	pairs  []Keypair
	reload sync.Mutex // one Reload at a time
	now    atomic.Pointer[snapshot]
}

// snapshot is one complete set. It never changes: a handshake sees either the
// set before a reload or the one after.
type snapshot struct {
	certs  []*tls.Certificate
	names  map[string][]*tls.Certificate // lower-case DNS names; "*.example.com"
	source [][]byte                      // the files' contents, to notice changes
}

// LoadTLS reads the pairs. The first is the one for clients that name no
// server, or one that no certificate has.
func LoadTLS(pairs ...Keypair) (*TLS, error) {
	if len(pairs) == 0 {
		return nil, errors.New("certs: no certificate given")
	}
	t := &TLS{pairs: append([]Keypair(nil), pairs...)}
	if err := t.Reload(); err != nil {
		return nil, err
	}
	return t, nil
}

// NewTLS makes a set of certificates that are in memory already. Reload leaves
// such a set as it is.
func NewTLS(certs ...tls.Certificate) (*TLS, error) {
	if len(certs) == 0 {
		return nil, errors.New("certs: no certificate given")
	}
	s := newSnapshot()
	for i := range certs {
		if err := s.add(certs[i]); err != nil {
			return nil, fmt.Errorf("certs: certificate %d: %w", i+1, err)
		}
	}
	t := new(TLS)
	t.now.Store(s)
	return t, nil
}

// Reload reads all files again and, only if every pair is whole (certificate
// and key parse and belong together), puts them in use at once. Otherwise all
// stays as it was and the error names the files: a renewal caught between its
// two writes is refused and succeeds when tried again.
func (t *TLS) Reload() error {
	_, err := t.refresh(true)
	return err
}

// ReloadIfChanged is Reload for a timer: it reports whether the files' contents
// differ from those in use, and if so puts them in use.
func (t *TLS) ReloadIfChanged() (changed bool, err error) {
	return t.refresh(false)
}

func (t *TLS) refresh(always bool) (changed bool, err error) {
	t.reload.Lock()
	defer t.reload.Unlock()
	if len(t.pairs) == 0 {
		return false, nil
	}
	var files [][]byte
	for _, p := range t.pairs {
		cert, err := os.ReadFile(p.Cert)
		if err != nil {
			return false, fmt.Errorf("certs: read certificate: %w", err)
		}
		key, err := os.ReadFile(p.Key)
		if err != nil {
			return false, fmt.Errorf("certs: read private key: %w", err)
		}
		files = append(files, cert, key)
	}
	old := t.now.Load()
	if !always && old != nil && sameFiles(old.source, files) {
		return false, nil
	}
	s := newSnapshot()
	for i, p := range t.pairs {
		cert, err := tls.X509KeyPair(files[2*i], files[2*i+1])
		if err == nil {
			err = s.add(cert)
		}
		if err != nil {
			return false, fmt.Errorf("certs: load %s with %s: %w", p.Cert, p.Key, err)
		}
	}
	s.source = files
	t.now.Store(s)
	return true, nil
}

func sameFiles(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func newSnapshot() *snapshot {
	return &snapshot{names: make(map[string][]*tls.Certificate)}
}

func (s *snapshot) add(cert tls.Certificate) error {
	leaf, err := leafOf(&cert)
	if err != nil {
		return err
	}
	cert.Leaf = leaf
	s.certs = append(s.certs, &cert)
	for _, name := range dnsNames(leaf) {
		name = strings.ToLower(name)
		s.names[name] = append(s.names[name], &cert)
	}
	return nil
}

// dnsNames are the names that a certificate is for.
func dnsNames(leaf *x509.Certificate) []string {
	if len(leaf.DNSNames) == 0 && leaf.Subject.CommonName != "" {
		return []string{leaf.Subject.CommonName}
	}
	return leaf.DNSNames
}

// choose picks by exact name, then by wildcard (one label, RFC 6125 §6.4.3),
// then the first certificate. Of several with the same name it prefers the
// first the client can check, so that an ECDSA and an RSA certificate may stand
// side by side, also for the many hosts that ask for no name.
func (s *snapshot) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	fits := s.named(hello.ServerName)
	if len(fits) == 0 {
		fits = s.likeFirst()
		anyName := *hello
		anyName.ServerName = "" // which SupportsCertificate would miss in each
		hello = &anyName
	}
	for _, cert := range fits {
		if hello.SupportsCertificate(cert) == nil {
			return cert
		}
	}
	return fits[0]
}

// likeFirst is the first certificate, and others for its first name.
func (s *snapshot) likeFirst() []*tls.Certificate {
	if names := dnsNames(s.certs[0].Leaf); len(names) > 0 {
		return s.names[strings.ToLower(names[0])]
	}
	return s.certs[:1]
}

// named are the certificates for a name.
func (s *snapshot) named(name string) []*tls.Certificate {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	fits := s.names[name]
	if len(fits) == 0 {
		if _, parent, ok := strings.Cut(name, "."); ok {
			fits = s.names["*."+parent]
		}
	}
	return fits
}

// Expiry tells of a certificate's end.
type Expiry struct {
	Names    []string // the names it is for
	File     string   // its file, if it came from one
	NotAfter time.Time
}

// Expiring lists the certificates in use that will have expired within that
// time from now, soonest first. Expiring(0) lists those that have expired.
func (t *TLS) Expiring(within time.Duration) []Expiry {
	return t.expiring(time.Now().Add(within))
}
