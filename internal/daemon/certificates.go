package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// errNoCertificate is what a handshake ends with where an authority has been
// asked for a certificate, none has come yet, and none may be made.
var errNoCertificate = errors.New("no certificate yet")

// ownCertificates reports whether the settings name certificate files.
func ownCertificates(s *conf.Settings) bool {
	return s.TLS.CertificateFile != "" || len(s.TLS.Certificates) > 0
}

// certificate chooses for a handshake: a certificate from a file where the
// settings name one for what the client asks for, else one of the authority's,
// else whatever there is.
func (st *state) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if st.issuer != nil && !(ownCertificates(st.settings) && st.tls.Covers(hello.ServerName)) {
		if cert, err := st.issuer.GetCertificate(hello); err == nil {
			return cert, nil
		}
	}
	if st.tls == nil {
		return nil, errNoCertificate
	}
	return st.tls.GetCertificate(hello)
}

// loadCertificates reads the certificates the settings name or, where they
// name none and allow it, makes a self-signed one that later starts find again.
func loadCertificates(s *conf.Settings, log *slog.Logger) (*certs.TLS, error) {
	var pairs []certs.Keypair
	if s.TLS.CertificateFile != "" {
		pairs = append(pairs, certs.Keypair{Cert: s.TLS.CertificateFile, Key: s.TLS.CertificateKeyFile})
	}
	for _, c := range s.TLS.Certificates {
		pairs = append(pairs, certs.Keypair{Cert: c.CertFile, Key: c.KeyFile})
	}
	if len(pairs) == 0 {
		if !s.TLS.SelfSigned {
			return nil, nil
		}
		own := published.SelfSigned(s)
		if outlived(own, s.ServerName) {
			// The key stays: others may have pinned it.
			if err := os.Remove(own.Cert); err != nil {
				return nil, fmt.Errorf("self-signed certificate: %w", err)
			}
		}
		names := []string{domains.Canonical(s.ServerName).String(), "localhost", "127.0.0.1", "::1"}
		created, err := certs.EnsureSelfSigned(own, names...)
		if err != nil {
			return nil, fmt.Errorf("self-signed certificate: %w", err)
		}
		if created && !s.OnlyHere() {
			why := "the settings name no other"
			if s.TLS.ACME.AcceptTerms {
				why = "it serves until the authority's is there"
			}
			log.Warn("made a self-signed certificate", "why", why, "file", own.Cert)
		}
		pairs = append(pairs, own)
	}
	set, err := certs.LoadTLS(pairs...)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return set, nil
}

// outlived reports whether a self-signed certificate is there and is to be made
// anew: it expires soon, or the server has another name now.
func outlived(own certs.Keypair, serverName string) bool {
	set, err := certs.LoadTLS(own)
	return err == nil && (len(set.Expiring(expirySoon)) > 0 || !set.Covers(domains.Canonical(serverName).String()))
}

const (
	// certificateCheck is how often it is looked whether a certificate was
	// renewed.
	certificateCheck = time.Minute
	// expiryWarning is how often one that expires soon is warned of.
	expiryWarning = 24 * time.Hour
	// expirySoon is how long before its end a certificate should have been
	// replaced: an authority's are renewed with a third of their time left.
	expirySoon = 14 * 24 * time.Hour
)

// watchCertificates takes note of renewed certificates, and warns of those that
// expire soon, until ctx ends.
func (d *Daemon) watchCertificates(ctx context.Context) {
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	var warned time.Time
	for {
		st := d.state()
		if st.tls != nil {
			switch changed, err := st.tls.ReloadIfChanged(); {
			case err != nil:
				d.log.Error("certificate files changed but cannot be used; the old ones stay", "err", err)
			case changed:
				d.log.Info("certificates read again")
			}
		}
		if st.issuer != nil {
			st.issuer.report(d.log)
		}
		if time.Since(warned) >= expiryWarning {
			warned = time.Now()
			for _, c := range st.certificates() {
				if c.Soon {
					d.log.Warn("certificate expires soon", "from", c.From, "names", c.Names, "not_after", c.NotAfter, "problem", c.Problem)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Certificate is one that the daemon has, or waits for.
type Certificate struct {
	Names    []string  `json:"names"`
	From     string    `json:"from"`      // its file, or the authority's directory
	NotAfter time.Time `json:"not_after"` // zero: it is not there yet
	Soon     bool      `json:"soon"`      // it should have been renewed
	Problem  string    `json:"problem,omitempty"`
	Retry    time.Time `json:"retry,omitzero"`  // when a missing one is asked for again
	Renews   time.Time `json:"renews,omitzero"` // when an authority is asked for the next one
}

// certificates are those in use, and those an authority has been asked for.
func (st *state) certificates() []Certificate {
	var all []Certificate
	if st.issuer != nil {
		for _, s := range st.issuer.Standings() {
			all = append(all, Certificate{Names: []string{s.Name}, From: st.settings.TLS.ACME.Directory,
				NotAfter: s.NotAfter, Soon: st.issuer.late(s), Problem: s.Problem, Retry: s.Next, Renews: s.Renews})
		}
	}
	if st.tls == nil {
		return all
	}
	const ever = 100 * 365 * 24 * time.Hour
	for _, e := range st.tls.Expiring(ever) {
		all = append(all, Certificate{Names: e.Names, From: e.File, NotAfter: e.NotAfter, Soon: time.Until(e.NotAfter) < expirySoon})
	}
	return all
}

// late reports whether a certificate should have been renewed. Those that are good
// for days only are renewed later than others.
func (i *issuer) late(s acme.Standing) bool {
	return !s.NotAfter.IsZero() && time.Until(s.NotAfter) < min(expirySoon, s.NotAfter.Sub(s.NotBefore)/5)
}
