// Package acme gets a mail server's certificates from an ACME authority
// (RFC 8555) such as Let's Encrypt, and renews them.
//
// It stands on golang.org/x/crypto/acme/autocert rather than certmagic:
// autocert is part of a module this project has anyway, while certmagic brings
// a dozen more, and what certmagic has beyond it (DNS challenges, shared storage)
// a single server does not need. What autocert lacks for mail is here:
//
//   - Certificates are obtained ahead, by Run or Obtain, never because of a
//     handshake: mail clients do not wait for it, and strangers must not be able
//     to use up the authority's rate limits.
//   - Clients that name no server (most mail servers) or one unknown get the
//     first name's certificate.
//   - Until there is one, a fallback certificate is served, such as a
//     self-signed one: mail between servers flows also with that.
//
// The authority checks each name over HTTP on port 80 (HTTPHandler) or over TLS
// on port 443 (ALPNConfig); one of them must reach the server from outside.
//
// It is a package of its own because ACME needs net/http, which nobody who
// hashes a password should have to link.
package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/parsers/domains"
	xacme "golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// Options say what to get and from whom.
type Options struct {
	// Names are the host names, each of which gets a certificate of its own.
	// The first is for clients that name none.
	Names []string
	// Leads says why the DNS does not lead one of SetMore's names here, nil if it does.
	// The authority is asked for none that it does not: failures count. It must return soon;
	// nil means that they all are led here.
	Leads func(ctx context.Context, name string) error
	// Folder keeps account key and certificates, 0700. It must survive
	// restarts, because authorities limit how often one may ask.
	Folder string
	// AcceptTerms says that the operator agrees to the authority's terms of
	// service. Without it nothing is asked for.
	AcceptTerms bool
	// Email is where the authority writes about trouble; may be empty.
	Email string
	// Directory is the authority's URL; empty means Let's Encrypt.
	Directory string
	// Challenge is how the names are proved: HTTP01, also if it is empty, or
	// TLSALPN01.
	Challenge Challenge
	// HTTPClient talks to the authority; nil means http.DefaultClient.
	HTTPClient *http.Client
	// Fallback is served for names that have no certificate yet; nil means
	// that handshakes fail until then.
	Fallback *certs.TLS
	// Log tells of certificates obtained and of failures; nil means
	// slog.Default().
	Log *slog.Logger
}

// Manager gets and renews certificates.
type Manager struct {
	o    Options
	auto *autocert.Manager
	web  http.Handler
	line *line // to the authority

	changed chan struct{} // by SetMore

	mu    sync.Mutex
	more  []string            // names beside those of the options
	known map[string]bool     // both
	ready map[string]bool     // names whose certificate is there
	tries map[string]*attempt // by name: what came of asking for those that are not
}

// Errors of certificates that are not there.
var (
	// ErrNotYet: no certificate has been obtained yet, and there is no Fallback.
	ErrNotYet = errors.New("acme: no certificate yet")
	// ErrStopped: the Manager was stopped, and asks the authority nothing.
	ErrStopped = errors.New("acme: stopped")
)

// New checks the options. It asks nobody anything yet.
func New(o Options) (*Manager, error) {
	switch {
	case len(o.Names) == 0:
		return nil, errors.New("acme: no names")
	case o.Folder == "":
		return nil, errors.New("acme: no folder for certificates")
	case !o.AcceptTerms:
		return nil, errors.New("acme: the authority's terms of service are not accepted")
	}
	switch o.Challenge {
	case "":
		o.Challenge = HTTP01
	case HTTP01, TLSALPN01:
	default:
		return nil, fmt.Errorf("acme: unknown challenge %q; there are %s and %s", o.Challenge, HTTP01, TLSALPN01)
	}
	o.Names = slices.Clone(o.Names)
	for i, name := range o.Names {
		ascii, err := checkName(name)
		if err != nil {
			return nil, err
		}
		o.Names[i] = ascii
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	m := &Manager{o: o, changed: make(chan struct{}, 1), ready: make(map[string]bool), line: o.line()}
	m.line.account = func(uri string) { m.keepAccount(uri) }
	m.tries = m.readFailures()
	m.SetMore(nil)
	m.auto = &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(o.Folder),
		HostPolicy: m.policy,
		Email:      o.Email,
		Client:     &xacme.Client{DirectoryURL: o.Directory, HTTPClient: m.line.client(o.HTTPClient), UserAgent: "postrider"},
	}
	if o.Challenge == HTTP01 {
		m.web = m.auto.HTTPHandler(http.NotFoundHandler()) // from now on autocert tries http-01
	}
	return m, nil
}

// checkName is the ASCII form of a name that an authority can check.
func checkName(name string) (string, error) {
	ascii, err := domains.HostName(strings.TrimSuffix(name, "."))
	if err != nil || !strings.Contains(ascii, ".") || strings.Contains(ascii, "*") {
		return "", fmt.Errorf("acme: %q is no host name that an authority can check", name)
	}
	return ascii, nil
}

// policy implements autocert.HostPolicy.
func (m *Manager) policy(_ context.Context, host string) error {
	if !m.knows(host) {
		return fmt.Errorf("acme: %s is none of the names", host)
	}
	return nil
}

// Obtain gets the certificates that are not there yet, from the folder or from
// the authority, and returns when each has been got or has failed. Once there, a
// certificate is renewed when two thirds of its time are over, without any call.
// Names of SetMore that the DNS does not lead here are left out.
func (m *Manager) Obtain(ctx context.Context) error {
	var errs []error
	for _, name := range m.names() {
		if m.has(name) || m.leads(ctx, name) != nil {
			continue
		}
		if m.line.isStopped() { // the client beneath would try again for minutes
			return ErrStopped
		}
		if err := m.obtain(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("acme: get certificate for %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// obtain waits for autocert, which has its own deadline of five minutes, no
// longer than ctx.
func (m *Manager) obtain(ctx context.Context, name string) error {
	done := make(chan error, 1)
	go func() {
		_, err := m.auto.GetCertificate(hello(name))
		if err == nil {
			m.mu.Lock()
			m.ready[name] = true
			m.mu.Unlock()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Manager) has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ready[name]
}

// Stop ends all talk with the authority: renewals, too, which autocert goes on
// with for ever. Certificates that are there are served until they expire.
func (m *Manager) Stop() { m.line.stop() }

// hello is a handshake of a client that takes ECDSA, the one kind of certificate
// that is asked for: all clients of TLS 1.2 that matter do.
func hello(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName:       name,
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves:  []tls.CurveID{tls.CurveP256},
		CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	}
}

// Config gives a mail server's TLS configuration, which always uses the newest
// certificate. The options are those of certs.TLS.Config.
func (m *Manager) Config(options ...certs.Option) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certs.Noting(m.GetCertificate)}
	for _, o := range options {
		o(c)
	}
	return c
}

// GetCertificate chooses for a handshake, as Config does. It never asks the
// authority. The error is ErrNotYet.
func (m *Manager) GetCertificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(h.ServerName, "."))
	if !m.knows(name) {
		name = m.o.Names[0]
	}
	if m.has(name) {
		return m.auto.GetCertificate(hello(name))
	}
	if m.o.Fallback != nil {
		return m.o.Fallback.GetCertificate(h)
	}
	return nil, ErrNotYet
}

// HTTPHandler answers the authority's http-01 challenges. It is to be served on
// port 80 of each name, or where that port is forwarded to; every other request
// is 404.
func (m *Manager) HTTPHandler() http.Handler {
	if m.web == nil {
		return http.NotFoundHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r = r.Clone(r.Context())
			r.Host = host // autocert compares the name alone
		}
		m.web.ServeHTTP(w, r)
	})
}

// ALPNConfig answers the authority's tls-alpn-01 challenges on port 443. A
// connection for anything else fails.
func (m *Manager) ALPNConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{xacme.ALPNProto},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if !slices.Equal(h.SupportedProtos, []string{xacme.ALPNProto}) {
				return nil, errors.New("acme: this port is for tls-alpn-01 alone")
			}
			return m.auto.GetCertificate(h)
		},
	}
}
