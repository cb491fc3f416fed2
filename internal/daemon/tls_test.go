package daemon

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// certificate writes a certificate for a name and its key, and returns the
// certificate's file.
func certificate(t *testing.T, dir, name string) string {
	t.Helper()
	cert, key, err := certs.SelfSigned(name)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	for suffix, text := range map[string][]byte{".crt": cert, ".key": key} {
		if err := os.WriteFile(file+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file + ".crt"
}

// shown is the certificate that a listener shows to who asks for a name.
func shown(t *testing.T, k *talk, command, want, name string) *x509.Certificate {
	t.Helper()
	k.play("C: " + command + "\nS: " + want)
	c := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true, ServerName: name})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0]
}

// TestCertificates: every name has its certificate, in both protocols, and a
// reload puts another in its place while sessions go on.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	one, two := certificate(t, dir, "one.test"), certificate(t, dir, "two.test")
	key := func(cert string) string { return strings.TrimSuffix(cert, "crt") + "key" }
	w := start(t, fmt.Sprintf(`"TLS": {"certificates": [{"cert_file": %q, "key_file": %q}, {"cert_file": %q, "key_file": %q}]},`,
		one, key(one), two, key(two)))
	see := func(listener, name string) *x509.Certificate {
		t.Helper()
		k := w.dial(listener)
		if listener == "127.0.0.4:0" {
			k.play("S: +OK")
			return shown(t, k, "STLS", "+OK", name)
		}
		k.play("S: 220\nC: EHLO c.test\nS: 250")
		return shown(t, k, "STARTTLS", "220", name)
	}
	for _, listener := range []string{"127.0.0.1:0", "127.0.0.2:0", "127.0.0.4:0"} {
		for ask, want := range map[string]string{"one.test": "one.test", "TWO.test": "two.test", "other.test": "one.test", "": "one.test"} {
			if got := see(listener, ask); got.VerifyHostname(want) != nil {
				t.Errorf("%s shows to who asks for %q the certificate of %v", listener, ask, got.DNSNames)
			}
		}
	}
	before := see("127.0.0.2:0", "two.test")
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	certificate(t, dir, "two.test")
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if after := see("127.0.0.2:0", "two.test"); after.Equal(before) {
		t.Error("after the reload the old certificate is shown")
	}
	if after := shown(t, k, "STARTTLS", "220", "two.test"); after.Equal(before) {
		t.Error("a session from before the reload shows the old certificate")
	}

	// A key that does not fit changes nothing.
	before = see("127.0.0.2:0", "two.test")
	if err := os.Rename(key(one), key(two)); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err == nil {
		t.Error("a key that is not the certificate's is taken")
	}
	if after := see("127.0.0.2:0", "two.test"); !after.Equal(before) {
		t.Error("a reload that failed changed the certificate")
	}
}

// TestTickets: Exchange drops STARTTLS with Go servers that send session
// tickets, so none are on the listener for the world; users' programs get
// them.
func TestTickets(t *testing.T) {
	w := start(t, "")
	for listener, want := range map[string]bool{"127.0.0.1:0": false, "127.0.0.2:0": true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cache := tls.NewLRUClientSessionCache(1)
			var resumed bool
			for range 2 {
				k := w.dial(listener)
				k.play("S: 220\nC: EHLO c.test\nS: 250\nC: STARTTLS\nS: 220")
				c := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true, ServerName: "mail.test", MaxVersion: version, ClientSessionCache: cache})
				k.c, k.r = c, bufio.NewReader(c)
				k.play("C: EHLO c.test\nS: 250\nC: QUIT\nS: 221")
				io.Copy(io.Discard, c)
				resumed = c.ConnectionState().DidResume
			}
			if resumed != want {
				t.Errorf("%s, TLS %x: session resumed: %v, want %v", listener, version, resumed, want)
			}
		}
	}
}

// TestOldTLS: nothing older than TLS 1.2 is spoken.
func TestOldTLS(t *testing.T) {
	w := start(t, "")
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250\nC: STARTTLS\nS: 220")
	c := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := c.Handshake(); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

// TestBehindStartTLS: what a man in the middle pushes behind the command, in
// the same packet, is never obeyed (CVE-2011-0411).
func TestBehindStartTLS(t *testing.T) {
	w := start(t, "")
	for _, c := range []struct{ listener, before, attack, allowed string }{
		{"127.0.0.2:0", "S: 220\nC: EHLO c.test\nS: 250", "STARTTLS\r\nMAIL FROM:<evil@far.test>\r\n", "220 "},
		{"127.0.0.4:0", "S: +OK", "STLS\r\nUSER evil@far.test\r\n", "+OK"},
	} {
		k := w.dial(c.listener)
		k.play(c.before)
		io.WriteString(k.c, c.attack)
		// Whether the command is refused or TLS begun, no second answer in
		// clear comes, and under TLS the pushed command has left no trace.
		k.c.SetReadDeadline(time.Now().Add(time.Second))
		answer, err := io.ReadAll(k.r)
		var timeout net.Error
		if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			continue // it hung up: the best answer
		}
		if n := bytes.Count(answer, []byte("\n")); n > 1 {
			t.Errorf("%s answers %q", c.listener, answer)
		}
	}
	if strings.Contains(w.logs.String(), "evil@far.test") {
		t.Error("the pushed command was read as one")
	}
}

// TestSelfSignedAnew: a self-signed certificate of another name is made anew
// with the same key, and one that fits stays.
func TestSelfSignedAnew(t *testing.T) {
	w := start(t, "")
	first := w.see("127.0.0.2:0", "mail.test")
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if c := w.see("127.0.0.2:0", "mail.test"); !c.Equal(first) {
		t.Error("a certificate that fits was made anew")
	}
	w.change(`"server_name": "mail.test"`, `"server_name": "other.test"`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	c := w.see("127.0.0.2:0", "other.test")
	if c.VerifyHostname("other.test") != nil || !bytes.Equal(c.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
		t.Errorf("the certificate is for %v; the same key: %t", c.DNSNames, bytes.Equal(c.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo))
	}
}
