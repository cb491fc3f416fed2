package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	xacme "golang.org/x/crypto/acme"
)

// proofName is the document with the proof that the authority comes for just now. There is one at most, as one server asks at a time.
const proofName = "challenge"

const (
	// proofKnown is how old what is known of the others' proof may be, and also how long it may take to ask for it. Strangers may ask for
	// any token at any rate: that costs one question a second, whatever they ask for.
	proofKnown = time.Second
	// proofShown is how long after it is shown the authority may come for it, to whichever server.
	proofShown = 2 * proofKnown
)

// proof is the answer to one challenge.
type proof struct {
	Name        string    `json:"name"`
	Token       string    `json:"token"`
	Answer      string    `json:"answer,omitempty"`      // to http-01: the key authorization (RFC 8555 §8.1)
	Certificate []byte    `json:"certificate,omitempty"` // to tls-alpn-01, with its key
	Until       time.Time `json:"until"`                 // whoever showed it is gone then
}

// show has a proof seen by who comes here, and by who comes to another server.
func (m *Manager) show(ctx context.Context, p *proof) error {
	m.mu.Lock()
	m.proof = p
	m.mu.Unlock()
	if m.o.Store == nil {
		return nil
	}
	text, err := json.Marshal(p)
	if err == nil {
		_, err = m.store.Update(ctx, proofName, func([]byte) ([]byte, error) { return text, nil })
	}
	if err != nil {
		m.hide(ctx)
		return err
	}
	select {
	case <-time.After(proofShown):
		return nil
	case <-ctx.Done():
		m.hide(ctx)
		return context.Cause(ctx)
	}
}

func (m *Manager) hide(ctx context.Context) {
	m.mu.Lock()
	m.proof = nil
	m.mu.Unlock()
	if m.o.Store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if err := m.store.Delete(ctx, proofName); err != nil {
		m.o.Log.Debug("what the authority was shown is left until its time is over", "err", err)
	}
}

// shown is the proof for a name of ours: this server's, or that of the one who asks; nil if there is none.
func (m *Manager) shown(ctx context.Context, name string) *proof {
	if !m.knows(name) {
		return nil
	}
	m.mu.Lock()
	p := m.proof
	m.mu.Unlock()
	if p == nil || p.Name != name {
		p = m.theirs(ctx)
	}
	if p == nil || p.Name != name || time.Now().After(p.Until) {
		return nil
	}
	return p
}

// theirs is the proof that another server shows, as of proofKnown ago at most. One asks, and the others wait for what he hears.
func (m *Manager) theirs(ctx context.Context) *proof {
	if m.o.Store == nil {
		return nil
	}
	m.look.Lock()
	defer m.look.Unlock()
	if !m.lookedAt.IsZero() && time.Since(m.lookedAt) < proofKnown {
		return m.seen
	}
	// It is for those who wait, too: who asked may have gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), proofKnown)
	defer cancel()
	m.seen = nil
	if text, err := m.store.Get(ctx, proofName); err == nil && text != nil {
		p := new(proof)
		if json.Unmarshal(text, p) == nil {
			m.seen = p
		}
	}
	m.lookedAt = time.Now()
	return m.seen
}

// HTTPHandler answers the authority's http-01 challenges, also those of other servers with the same Store. It is to be served on
// port 80 of each name, or where that port is forwarded to; every other request is 404, or 403 where it is for none of the names.
func (m *Manager) HTTPHandler() http.Handler {
	if m.o.Challenge != HTTP01 {
		return http.NotFoundHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = canonical(host)
		if ok && !m.knows(host) {
			http.Error(w, "this is none of the names here", http.StatusForbidden)
			return
		}
		p := (*proof)(nil)
		if ok && token != "" {
			p = m.shown(r.Context(), host)
		}
		if p == nil || p.Token != token || p.Answer == "" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream") // RFC 8555 §8.3
		w.Write([]byte(p.Answer))
	})
}

// canonical is a name as ours are.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// ALPNConfig answers the authority's tls-alpn-01 challenges on port 443, also those of other servers with the same Store. A
// connection for anything else fails.
func (m *Manager) ALPNConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{xacme.ALPNProto},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if !slices.Equal(h.SupportedProtos, []string{xacme.ALPNProto}) {
				return nil, errors.New("acme: this port is for tls-alpn-01 alone")
			}
			p := m.shown(h.Context(), canonical(h.ServerName))
			if p == nil || p.Certificate == nil {
				return nil, errors.New("acme: the authority was not asked for that name")
			}
			pair, err := tls.X509KeyPair(p.Certificate, p.Certificate)
			return &pair, err
		},
	}
}
