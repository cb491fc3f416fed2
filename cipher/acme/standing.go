package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// Standing is how it stands with one name's certificate.
type Standing struct {
	Name string
	// NotBefore and NotAfter are the certificate's time; zero if there is none
	// yet.
	NotBefore, NotAfter time.Time
	// Problem is what went wrong last between this server and the authority,
	// with any name, since a certificate was last obtained; empty if nothing.
	Problem string
	// Next is when a missing certificate is asked for again; zero if that is
	// happening now, or there is one.
	Next time.Time
}

// Standings tells of every name, in the order of the options.
func (m *Manager) Standings() []Standing {
	m.mu.Lock()
	next := m.next
	m.mu.Unlock()
	var all []Standing
	for _, name := range m.o.Names {
		s := Standing{Name: name, Problem: m.line.problem()}
		if leaf := m.leaf(name); leaf != nil {
			s.NotBefore, s.NotAfter = leaf.NotBefore, leaf.NotAfter
		} else {
			s.Next = next
		}
		all = append(all, s)
	}
	return all
}

// leaf is the certificate in use for a name, or nil.
func (m *Manager) leaf(name string) *x509.Certificate {
	if !m.has(name) {
		return nil
	}
	cert, err := m.auto.GetCertificate(hello(name))
	if err != nil {
		return nil
	}
	return cert.Leaf
}

// Expiring lists the certificates that will have expired within that time from
// now: renewal has failed for long if there are any within, say, 20 days. Names
// without a certificate are not listed; Standings tells of them.
func (m *Manager) Expiring(within time.Duration) []certs.Expiry {
	var found []certs.Expiry
	for _, name := range m.o.Names {
		if leaf := m.leaf(name); leaf != nil && !leaf.NotAfter.After(time.Now().Add(within)) {
			found = append(found, certs.Expiry{Names: []string{name}, NotAfter: leaf.NotAfter})
		}
	}
	return found
}

// failureFile is there, and as old as the last failure, while certificates are
// missing.
func (m *Manager) failureFile() string { return filepath.Join(m.o.Folder, "last-failure") }

func (m *Manager) noteFailure(failed bool) {
	if !failed {
		os.Remove(m.failureFile())
		return
	}
	err := os.MkdirAll(m.o.Folder, 0o700)
	if err == nil {
		err = os.WriteFile(m.failureFile(), nil, 0o600)
	}
	if err == nil {
		err = os.Chtimes(m.failureFile(), time.Now(), time.Now())
	}
	if err != nil {
		m.o.Log.Warn("a failure to obtain certificates cannot be noted", "err", err)
	}
}

// sinceFailure is how long ago the last failure was; very long if there was none.
func (m *Manager) sinceFailure() time.Duration {
	info, err := os.Stat(m.failureFile())
	if err != nil || time.Since(info.ModTime()) < 0 {
		return lastWait
	}
	return time.Since(info.ModTime())
}

// allCached reports whether the folder holds something for every name, so that
// the authority need not be asked for what is missing.
func (m *Manager) allCached(ctx context.Context) bool {
	var errs []error
	for _, name := range m.o.Names {
		_, err := m.auto.Cache.Get(ctx, name)
		errs = append(errs, err)
	}
	return errors.Join(errs...) == nil
}
