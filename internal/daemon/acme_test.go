package daemon

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/peertest"
)

// see is the certificate that a listener shows after STARTTLS, STLS or at once.
func (w *testWorld) see(listener, name string) *x509.Certificate {
	w.t.Helper()
	k := w.dial(listener)
	defer k.c.Close()
	if listener == "127.0.0.4:0" {
		k.play("S: +OK")
		return shown(w.t, k, "STLS", "+OK", name)
	}
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	return shown(w.t, k, "STARTTLS", "220", name)
}

// await waits until a listener shows a certificate that fits.
func (w *testWorld) await(what, listener, name string, fits func(*x509.Certificate) bool) (cert *x509.Certificate) {
	w.t.Helper()
	peertest.Await(w.t, what, func() bool {
		cert = w.see(listener, name)
		return fits(cert)
	})
	return cert
}

func fromPebble(c *x509.Certificate) bool { return strings.Contains(c.Issuer.CommonName, "Pebble") }

// TestACME: the daemon serves from the start with a certificate of its own,
// obtains one from an authority meanwhile, serves that to new handshakes also of
// sessions that are there, and finds it again after a restart without a word to
// the authority.
func TestACME(t *testing.T) {
	t.Parallel()
	for challenge, options := range map[string]func(port int) peertest.PebbleOptions{
		conf.ChallengeHTTP: func(port int) peertest.PebbleOptions { return peertest.PebbleOptions{HTTPPort: port} },
		conf.ChallengeALPN: func(port int) peertest.PebbleOptions { return peertest.PebbleOptions{TLSPort: port} },
	} {
		t.Run(challenge, func(t *testing.T) {
			port := peertest.FreePort(t)
			ca := peertest.Pebble(t, options(port))
			w := start(t, fmt.Sprintf(`"TLS": {"ACME": {"accept_terms": true, "names": ["mail.test", "pop.test"], "email": "postmaster@mail.test",
				"directory": %q, "directory_ca_file": %q, "challenge": %q, "listen": "127.0.0.1:%d"}},`, ca.Directory, ca.CAFile, challenge, port))
			old := w.dial("127.0.0.2:0") // a session from before
			old.play("S: 220\nC: EHLO c.test\nS: 250")
			w.await("the certificate", "127.0.0.2:0", "mail.test", fromPebble)
			first := w.await("the certificate", "127.0.0.4:0", "pop.test", fromPebble)
			if first.VerifyHostname("pop.test") != nil {
				t.Errorf("pop.test gets the certificate of %v", first.DNSNames)
			}
			if c := w.see("127.0.0.1:0", "elsewhere.test"); c.VerifyHostname("mail.test") != nil {
				t.Errorf("an unknown name gets the certificate of %v", c.DNSNames)
			}
			if c := shown(t, old, "STARTTLS", "220", "mail.test"); !fromPebble(c) {
				t.Error("a session from before gets the self-signed certificate")
			}
			peertest.Await(t, "the status", func() bool {
				s := w.status(time.Now())
				return len(s.Certificates) == 3 && s.Certificates[0].NotAfter.After(time.Now().Add(80*24*time.Hour)) && s.Certificates[1].Problem == ""
			})
			folder := filepath.Join(w.dir, "data", "acme")
			for name, mode := range map[string]os.FileMode{".": 0o700, "mail.test": 0o600, "acme_account+key": 0o600} {
				if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s: %v, %v", name, info, err)
				}
			}
			account, _ := os.ReadFile(filepath.Join(folder, "acme_account+key"))

			// A name more; nobody's session ends. The account stays the same.
			k := w.dial("127.0.0.2:0")
			k.play("S: 220\nC: EHLO c.test\nS: 250")
			w.change(`"names": ["mail.test", "pop.test"]`, `"names": ["mail.test", "pop.test", "new.test"]`)
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
			if c := w.see("127.0.0.4:0", "pop.test"); !c.Equal(first) {
				t.Error("a reload has the self-signed certificate served for a moment")
			}
			w.await("the new name's certificate", "127.0.0.4:0", "new.test", func(c *x509.Certificate) bool { return c.VerifyHostname("new.test") == nil })
			k.play("C: NOOP\nS: 250")
			if now, _ := os.ReadFile(filepath.Join(folder, "acme_account+key")); string(now) != string(account) {
				t.Error("the account's key has changed")
			}

			w.stop()
			w.change(ca.Directory, "https://127.0.0.1:1/nobody")
			w.again()
			if c := w.see("127.0.0.4:0", "pop.test"); !c.Equal(first) {
				t.Error("another certificate after a restart, be it for a moment")
			}
		})
	}
}

// change writes something else into the settings.
func (w *testWorld) change(old, new string) {
	w.t.Helper()
	file := filepath.Join(w.dir, "t.conf")
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), old) {
		w.t.Fatal(err, old)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// TestACMERenews: a certificate is replaced while it is still good, and keeps its key: what TLSA records say stays true.
func TestACMERenews(t *testing.T) {
	t.Parallel()
	port := peertest.FreePort(t)
	ca := peertest.Pebble(t, peertest.PebbleOptions{HTTPPort: port, Validity: 8 * time.Second})
	w := start(t, fmt.Sprintf(`"TLS": {"ACME": {"accept_terms": true, "directory": %q, "directory_ca_file": %q, "listen": "127.0.0.1:%d"}},`,
		ca.Directory, ca.CAFile, port))
	first := w.await("the certificate", "127.0.0.2:0", "mail.test", fromPebble)
	second := w.await("its renewal", "127.0.0.2:0", "mail.test", func(c *x509.Certificate) bool { return fromPebble(c) && !c.Equal(first) })
	if !second.NotAfter.After(first.NotAfter) {
		t.Errorf("renewed until %v, was until %v", second.NotAfter, first.NotAfter)
	}
	if !bytes.Equal(first.RawSubjectPublicKeyInfo, second.RawSubjectPublicKeyInfo) {
		t.Error("renewed with another key, of which the DNS does not know")
	}
}

// TestACMEUnreachable: without the authority mail flows with the self-signed
// certificate, and the status says what is wrong.
func TestACMEUnreachable(t *testing.T) {
	w := start(t, fmt.Sprintf(`"TLS": {"ACME": {"accept_terms": true, "directory": "https://127.0.0.1:1/nobody", "listen": "127.0.0.1:%d"}},`, peertest.FreePort(t)))
	if c := w.see("127.0.0.2:0", "mail.test"); fromPebble(c) || c.VerifyHostname("mail.test") != nil {
		t.Errorf("served %v by %v", c.DNSNames, c.Issuer)
	}
	if log := w.logs.String(); !strings.Contains(log, `msg="made a self-signed certificate" why="it serves until the authority's is there"`) {
		t.Errorf("the log does not say why it is served: %s", log)
	}
	peertest.Await(t, "the problem in the status", func() bool {
		c := w.status(time.Now()).Certificates
		return len(c) == 2 && strings.Contains(c[0].Problem, "refused") && c[0].NotAfter.IsZero() && !c[0].Retry.IsZero()
	})
	// A port that is taken is said, and changes nothing.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w.change(`"listen": "127.0.0.1:`, fmt.Sprintf(`"listen": "%s", "email": "x@mail.test`, taken.Addr()))
	if err := w.Reload(); err == nil || !strings.Contains(err.Error(), "TLS.ACME.listen") {
		t.Errorf("reload with a port that is taken: %v", err)
	}
}

// again starts the daemon anew with the settings as they are.
func (w *testWorld) again() {
	w.t.Helper()
	d, err := New(func() (*conf.Settings, error) { return conf.Load(w.dir) }, w.logs)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Daemon = d
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
}
