package acme

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// Standing is how it stands with one name's certificate.
type Standing struct {
	Name string
	// NotBefore and NotAfter are the certificate's time; zero if there is none
	// yet.
	NotBefore, NotAfter time.Time
	// Problem is what the authority complained of last: where there is no certificate,
	// with this name, else with any that was to be renewed, since a certificate was last obtained; empty if nothing.
	Problem string
	// Next is when a missing certificate is asked for again; zero if that is
	// happening now, or there is one.
	Next time.Time
}

// Standings tells of every name, in the order of the options, and then of those of SetMore that
// there is a certificate for or that the authority was asked for.
func (m *Manager) Standings() []Standing {
	var all []Standing
	for _, name := range m.names() {
		s := Standing{Name: name, Problem: m.line.problem()}
		m.mu.Lock()
		t, next := m.tries[name], time.Time{}
		if t != nil {
			s.Problem, next = t.problem, t.next
		}
		m.mu.Unlock()
		switch leaf := m.leaf(name); {
		case leaf != nil:
			s.NotBefore, s.NotAfter = leaf.NotBefore, leaf.NotAfter
		case t != nil:
			s.Next = next
		case !slices.Contains(m.o.Names, name):
			continue
		}
		all = append(all, s)
	}
	return all
}

// Problems is how often the authority has complained of something, or could not be reached, since the Manager was made.
func (m *Manager) Problems() int64 {
	m.line.mu.Lock()
	defer m.line.mu.Unlock()
	return m.line.problems
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
	for _, name := range m.names() {
		if leaf := m.leaf(name); leaf != nil && !leaf.NotAfter.After(time.Now().Add(within)) {
			found = append(found, certs.Expiry{Names: []string{name}, NotAfter: leaf.NotAfter})
		}
	}
	return found
}

// failureFile has when certificates that are missing were asked for last, by name.
func (m *Manager) failureFile() string { return filepath.Join(m.o.Folder, "failures.json") }

// readFailures is what a former life has asked for in vain. A program that is started over and over is not to
// ask each time.
func (m *Manager) readFailures() map[string]*attempt {
	kept := make(map[string]time.Time)
	if text, err := os.ReadFile(m.failureFile()); err == nil {
		json.Unmarshal(text, &kept) // what cannot be read is not known
	}
	tries, now := make(map[string]*attempt), time.Now()
	for name, at := range kept {
		if since := now.Sub(at); since >= 0 && since < afterKill {
			tries[name] = &attempt{next: at.Add(afterKill), asked: at}
		}
	}
	return tries
}

// keepFailures writes down what was asked for in vain.
func (m *Manager) keepFailures() {
	kept := make(map[string]time.Time)
	m.mu.Lock()
	for name, t := range m.tries {
		kept[name] = t.asked
	}
	m.mu.Unlock()
	text, err := json.Marshal(kept)
	if err == nil {
		err = m.put(m.failureFile(), text)
	}
	if err != nil {
		m.o.Log.Warn("a failure to obtain certificates cannot be noted", "err", err)
	}
}

func (m *Manager) put(name string, text []byte) error {
	if err := os.MkdirAll(m.o.Folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o600)
}

// cached reports whether the folder holds something for a name.
func (m *Manager) cached(ctx context.Context, name string) bool {
	_, err := m.auto.Cache.Get(ctx, name)
	return err == nil
}
