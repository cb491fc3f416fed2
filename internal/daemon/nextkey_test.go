package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/zone"
)

// TestNextKey: whatever form the next key is in, its record is announced beside that of the key in use;
// once it is in use it is announced once. A file that holds none is found by the check.
func TestNextKey(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	sec1, _ := x509.MarshalECPrivateKey(key)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(key)
	file := filepath.Join(dir, "next.pem")
	s := conf.New()
	s.ServerName, s.DataDir, s.DNS.NextKeyFile = "mx.mail.test", dir, file
	want := zone.TLSKey{SPKI: sha256.Sum256(spki), Next: true}
	for kind, der := range map[string][]byte{"PUBLIC KEY": spki, "EC PRIVATE KEY": sec1, "PRIVATE KEY": pkcs8} {
		// A file of certificates often begins with something else.
		text := append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}}), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if keys := published.TLSKeys(s); len(keys) != 1 || keys[0] != want {
			t.Errorf("%s: %+v", kind, keys)
		}
	}
	for text, says := range map[string]string{
		"nothing": "holds no certificate and no key",
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})):  "asn1",
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})): "asn1",
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})): "x509",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DNS.NextKey(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
		if keys := published.TLSKeys(s); len(keys) != 0 {
			t.Errorf("%q: %+v", text, keys)
		}
	}
	os.Remove(file)
	if _, err := s.DNS.NextKey(); !os.IsNotExist(err) {
		t.Error(err)
	}
	// The key is in use now.
	w := start(t, "")
	used := *w.state().settings
	pair := published.SelfSigned(&used)
	used.DNS.NextKeyFile = pair.Cert
	if keys := published.TLSKeys(&used); len(keys) != 1 || keys[0].Next {
		t.Errorf("in use: %+v", keys)
	}
}
