package acme_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/peertest"
)

// served is the names of the certificate a client asking for name gets.
func served(t *testing.T, c *tls.Config, name string) (string, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		if _, err := certs.Upgrade(context.Background(), b, 0, c); err != nil {
			b.Close()
		}
	}()
	conn, err := certs.UpgradeClient(context.Background(), a, 0, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	return strings.Join(conn.ConnectionState().PeerCertificates[0].DNSNames, " "), nil
}

// Certificates come by HTTP challenges, are served by name, and are there again
// after a restart without a word to the authority.
func TestObtainByHTTP(t *testing.T) {
	t.Parallel()
	var m *acme.Manager
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.HTTPHandler().ServeHTTP(w, r)
	}))
	defer web.Close()
	ca := peertest.Pebble(t, peertest.PebbleOptions{HTTPPort: web.Listener.Addr().(*net.TCPAddr).Port})
	o := acme.Options{Names: []string{"mail.example.com", "Pop.Example.Com."}, Folder: t.TempDir(), AcceptTerms: true,
		Email: "postmaster@example.com", Directory: ca.Directory, HTTPClient: ca.Client, Fallback: fallback(t)}
	var err error
	if m, err = acme.New(o); err != nil {
		t.Fatal(err)
	}
	c := m.Config(certs.WithoutTickets)
	if got, err := served(t, c, "mail.example.com"); err != nil || got != "fallback.example" {
		t.Errorf("before: %q, %v", got, err)
	}
	if err := m.Obtain(context.Background()); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	m.Run(ended) // there is nothing left to do
	for name, want := range map[string]string{"mail.example.com": "mail.example.com", "POP.example.com": "pop.example.com",
		"": "mail.example.com", "elsewhere.example": "mail.example.com"} {
		if got, err := served(t, c, name); err != nil || got != want {
			t.Errorf("asked for %q: %q, %v", name, got, err)
		}
	}
	if e := m.Expiring(0); len(e) != 0 {
		t.Errorf("expired: %v", e)
	}
	if e := m.Expiring(91 * 24 * 3600e9); len(e) != 2 {
		t.Errorf("expiring in 91 days: %v", e)
	}
	for _, f := range []string{"mail.example.com", "acme_account+key"} {
		if info, err := os.Stat(filepath.Join(o.Folder, f)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", f, err)
		}
	}
	o.Directory = "http://127.0.0.1:1/nobody"
	if m, err = acme.New(o); err != nil {
		t.Fatal(err)
	}
	if err := m.Obtain(context.Background()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// The same where port 443 is the free one.
func TestObtainByALPN(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ca := peertest.Pebble(t, peertest.PebbleOptions{TLSPort: l.Addr().(*net.TCPAddr).Port})
	m, err := acme.New(acme.Options{Names: []string{"mail.example.com"}, Folder: t.TempDir(), AcceptTerms: true,
		Challenge: acme.TLSALPN01, Directory: ca.Directory, HTTPClient: ca.Client})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			certs.Upgrade(context.Background(), conn, 0, m.ALPNConfig())
			conn.Close()
		}
	}()
	if err := m.Obtain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got, err := served(t, m.Config(), "mail.example.com"); err != nil || got != "mail.example.com" {
		t.Errorf("served %q, %v", got, err)
	}
	if _, err := served(t, m.ALPNConfig(), "mail.example.com"); err == nil {
		t.Error("the port for challenges served something else")
	}
}

func fallback(t *testing.T) *certs.TLS {
	t.Helper()
	certPEM, keyPEM, err := certs.SelfSigned("fallback.example")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	set, err := certs.NewTLS(pair)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
