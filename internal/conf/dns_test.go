package conf

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNextKey: the key that comes next is found in every form in which keys are kept, and is the same in all of them.
func TestNextKey(t *testing.T) {
	der := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	ec, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ofRSA, err2 := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	only, err4 := ecdh.X25519().GenerateKey(rand.Reader)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		t.Fatal(err1, err2, err3, err4)
	}
	forms := map[string]string{"ec": block("EC PRIVATE KEY", der(x509.MarshalECPrivateKey(ec))), "rsa": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(ofRSA))}
	want := make(map[string][]byte)
	for kind, key := range map[string]crypto.Signer{"ec": ec, "rsa": ofRSA, "ed": ed} {
		public := der(x509.MarshalPKIXPublicKey(key.Public()))
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1)}
		forms[kind+" pkcs8"] = block("PRIVATE KEY", der(x509.MarshalPKCS8PrivateKey(key)))
		forms[kind+" public"] = block("PUBLIC KEY", public)
		forms[kind+" certificate"] = block("CERTIFICATE", der(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)))
		forms[kind+" behind parameters"] = block("EC PARAMETERS", []byte{1}) + "text between\n" + forms[kind+" pkcs8"]
		want[kind] = public
	}
	name := filepath.Join(t.TempDir(), "next.pem")
	next := func(text string) ([]byte, error) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return (&DNS{NextKeyFile: name}).NextKey()
	}
	for form, text := range forms {
		kind, _, _ := strings.Cut(form, " ")
		if got, err := next(text); err != nil || !bytes.Equal(got, want[kind]) {
			t.Errorf("%s: %x, %v", form, got, err)
		}
	}
	for what, text := range map[string]string{
		"nothing": "", "text": "no key\n", "another thing": block("X509 CRL", []byte("x")), "of no certificate": block("PRIVATE KEY", der(x509.MarshalPKCS8PrivateKey(only))),
		"damaged certificate": block("CERTIFICATE", []byte("x")), "damaged public key": block("PUBLIC KEY", []byte("x")), "damaged key": block("PRIVATE KEY", []byte("x")),
		"damaged RSA key": block("RSA PRIVATE KEY", []byte("x")), "damaged EC key": block("EC PRIVATE KEY", []byte("x")),
	} {
		if got, err := next(text); err == nil {
			t.Errorf("%s: %x", what, got)
		}
		c := newChecker(&Settings{DNS: DNS{NextKeyFile: name}}, Probes{})
		if c.dns(); len(c.errs) != 1 || !strings.Contains(sorted(c.errs)[0].Error(), "DNS.next_key_file") {
			t.Errorf("%s: %v", what, c.errs)
		}
	}
	if got, err := (&DNS{}).NextKey(); got != nil || err != nil {
		t.Errorf("none is named: %x, %v", got, err)
	}
	if _, err := (&DNS{NextKeyFile: name + ".none"}).NextKey(); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// TestSPFTerms: terms as RFC 7208 has them are taken, in any case of letters.
func TestSPFTerms(t *testing.T) {
	problems := func(term string) int {
		s := New()
		s.DNS.SPF = []string{term}
		c := newChecker(s, Probes{})
		c.dns()
		return len(c.errs)
	}
	for _, term := range []string{"include:a.example", "?include:a.example", "~exists:%{i}.a.example", "a", "mx", "ptr", "A", "MX", "+a", "-mx", "a:b.example", "mx:b.example/24", "a/24", "mx/24//64", "ptr:a.example",
		"ip4:192.0.2.7", "IP4:192.0.2.0/24", "-ip4:192.0.2.7", "~ip6:2001:db8::1", "ip6:2001:db8::/32"} {
		if problems(term) != 0 {
			t.Errorf("%q is refused", term)
		}
	}
	for _, term := range []string{"", "include:", "include", "exists", "ip4", "ip4:", "ip6:192.0.2.7", "ip4:2001:db8::1", "ip4:192.0.2.0/x", "+all", "all", "-ALL", "v=spf1", "mx a", "a\tb", "redirect=a.example", "REDIRECT=a.example", "a:", "mx:", "a.example", "exp=a.example", "!a"} {
		if problems(term) != 1 {
			t.Errorf("%q is taken", term)
		}
	}
}
