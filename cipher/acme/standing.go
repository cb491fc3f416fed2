package acme

import (
	"crypto/x509"
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
	// Renews is when the next one is asked for; zero if there is none yet.
	Renews time.Time
	// Problem is what the authority complained of last with this name, since a certificate was last obtained for it; empty if nothing.
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
		s := Standing{Name: name}
		m.mu.Lock()
		e, next := m.book.Names[name], time.Time{}
		if e != nil {
			s.Problem = e.Problem
			if e.Wait > 0 {
				next = m.retry(e)
			}
		}
		m.mu.Unlock()
		switch c := m.current(name); {
		case c != nil:
			s.NotBefore, s.NotAfter, s.Renews = c.Leaf.NotBefore, c.Leaf.NotAfter, c.renewAt()
		case !next.IsZero():
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
	if c := m.current(name); c != nil {
		return c.Leaf
	}
	return nil
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
