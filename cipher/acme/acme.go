// Package acme gets a mail server's certificates from an ACME authority
// (RFC 8555) such as Let's Encrypt, and renews them.
//
// It stands on golang.org/x/crypto/acme, the protocol alone, rather than on autocert or certmagic:
// autocert has each server renew by clocks of its own and ask because of a
// handshake, and certmagic brings a dozen modules. What mail needs beyond the protocol is here:
//
//   - Certificates are obtained ahead, by Run or Obtain, never because of a
//     handshake: mail clients do not wait for it, and strangers must not be able
//     to use up the authority's rate limits.
//   - Clients that name no server (most mail servers) or one unknown get the
//     first name's certificate.
//   - Until there is one, a fallback certificate is served, such as a
//     self-signed one: mail between servers flows also with that.
//   - A renewed certificate keeps its key: what TLSA records say stays true.
//   - Several servers with a Store have one account and one certificate for each
//     name, and whichever of them is asked answers the authority's challenges.
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
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/parsers/domains"
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
	// Store is what several servers have together, in place of Folder: one account and one certificate for each name, which one server at a
	// time asks for. Their clocks have to be right to within some seconds. What is in Folder is taken over where the store has nothing, and
	// a copy of the certificates in force stays there: it serves while the store cannot be had. nil: this server is alone.
	Store Store
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
	o     Options
	own   *files // this server's
	store Store  // all servers'; own, where this one is alone
	line  *line  // to the authority

	changed chan struct{} // by SetMore
	began   time.Time
	asking  sync.Mutex // one order at a time

	mu    sync.Mutex
	more  []string                // names beside those of the options
	known map[string]bool         // both
	certs map[string]*certificate // by name, those that are served
	sums  map[string]string       // by name, which document of the store was looked at last
	led   map[string]time.Time    // by name, when the DNS is looked at again
	book  *book                   // as it was seen last
	proof *proof                  // what the authority is shown by this server
	away  bool                    // the store cannot be had
	// brought: the account of this server was brought to the others.
	brought bool

	look     sync.Mutex // of what others show
	lookedAt time.Time
	seen     *proof
}

// Errors of certificates that are not there.
var (
	// ErrNotYet: no certificate has been obtained yet, and there is no Fallback.
	ErrNotYet = errors.New("acme: no certificate yet")
	// ErrStopped: the Manager was stopped, and asks the authority nothing.
	ErrStopped = errors.New("acme: stopped")
)

// New checks the options, and serves what Folder has from now on. It asks nobody anything yet.
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
	m := &Manager{o: o, own: &files{folder: o.Folder}, store: o.Store, line: o.line(), changed: make(chan struct{}, 1), began: time.Now(),
		certs: make(map[string]*certificate), sums: make(map[string]string), book: readBook(nil)}
	if m.store == nil {
		m.store = m.own
	}
	m.SetMore(nil)
	for _, name := range o.Names { // handshakes do not wait for Run
		m.useOwn(context.Background(), name)
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

// Obtain gets the certificates that are not there yet, from where they are kept or from
// the authority, and returns when each has been got or has failed, however short ago it was that it failed before. Run renews them.
// Names of SetMore that the DNS does not lead here are left out.
func (m *Manager) Obtain(ctx context.Context) error {
	if err := m.refresh(ctx); err != nil {
		return fmt.Errorf("acme: certificates that servers have together: %w", err)
	}
	var errs []error
	for _, name := range m.names() {
		m.settle(ctx, name)
		if m.has(name) || m.leads(ctx, name) != nil {
			continue
		}
		if err := m.obtainNow(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("acme: get certificate for %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// obtainNow waits while another server asks.
func (m *Manager) obtainNow(ctx context.Context, name string) error {
	for {
		if m.line.isStopped() {
			return ErrStopped
		}
		err := m.obtain(ctx, name, true)
		if !errors.Is(err, errBusy) {
			return err
		}
		select {
		case <-time.After(busyWait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *Manager) has(name string) bool { return m.current(name) != nil }

// current is the certificate that is served for a name; nil if there is none.
func (m *Manager) current(name string) *certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.certs[name]
}

// Stop ends all talk with the authority. Certificates that are there are served until they expire.
func (m *Manager) Stop() { m.line.stop() }

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
	name := canonical(h.ServerName)
	if !m.knows(name) {
		name = m.o.Names[0]
	}
	if c := m.current(name); c != nil {
		return c.Certificate, nil
	}
	if m.o.Fallback != nil {
		return m.o.Fallback.GetCertificate(h)
	}
	return nil, ErrNotYet
}
