package sign

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/dkim"
)

// TestKeyFiles: a key that others could read or put another in the place of is put right; one that cannot be
// read, is none, or is not the one that the DNS shows, is named by its path, and nothing is signed.
func TestKeyFiles(t *testing.T) {
	key, err := dkim.GenerateKey("rsa")
	if err != nil {
		t.Fatal(err)
	}
	other, err := dkim.GenerateKey("rsa")
	if err != nil {
		t.Fatal(err)
	}
	text := func(k any) []byte {
		b, err := dkim.FormatKey(k.(*rsa.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	write := func(b []byte, mode os.FileMode) func(string) error {
		return func(file string) error {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				return err
			}
			return os.Chmod(file, mode)
		}
	}
	for _, c := range []struct {
		name   string
		change func(file string) error
		says   string // empty: it signs
	}{
		{"as it was made", func(string) error { return nil }, ""},
		{"for all to read", write(text(key), 0o644), ""},
		{"for the group to read", write(text(key), 0o640), ""},
		{"for all to write", write(text(key), 0o666), ""},
		{"a folder of the group's", func(f string) error { return os.Chmod(filepath.Dir(f), 0o770) }, ""},
		{"a folder of everybody's", func(f string) error { return os.Chmod(filepath.Dir(f), 0o777) }, ""},
		{"PKCS #1", write(pkcs1, 0o600), ""},
		{"PKCS #8", write(pkcs8, 0o600), ""},
		{"missing", os.Remove, "no such file"},
		{"empty", write(nil, 0o600), "is empty"},
		{"no key", write([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600), ""},
		{"garbage", write([]byte("hello\n"), 0o600), ""},
		{"too long", write(make([]byte, 100<<10), 0o600), "too long"},
		{"half of it", write(text(key)[:200], 0o600), ""},
		{"a certificate", write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600), ""},
		{"another key", write(text(other), 0o600), "another key"},
		{"a folder in its place", func(f string) error {
			if err := os.Remove(f); err != nil {
				return err
			}
			return os.Mkdir(f, 0o700)
		}, "directory"},
	} {
		bad := c.says != "" || strings.Contains("no key garbage half of it a certificate", c.name)
		dir := filepath.Join(t.TempDir(), "dkim")
		r := open(t, dir, usual, nil)
		if err := r.Import(t.Context(), home, "k", key); err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		r.promote(r.keys[0], time.Now())
		err := r.write(t.Context())
		r.unlock()
		if err != nil {
			t.Fatal(err)
		}
		file := r.path(r.keys[0])
		if err := c.change(file); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir, usual, nil)
		signed, err := again.Message([]byte("From: x@mail.test\r\n\r\nhello\r\n"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if bytes.Contains(signed, []byte("DKIM-Signature")) == bad {
			t.Errorf("%s: %s", c.name, signed)
		}
		said := strings.Join(again.Problems(), "\n")
		if !bad {
			if said != "" {
				t.Errorf("%s: %s", c.name, said)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: left with %v, %v", c.name, info.Mode(), err)
			}
			if info, err := os.Stat(filepath.Dir(file)); err != nil || info.Mode().Perm()&0o022 != 0 {
				t.Errorf("%s: its folder is left with %v, %v", c.name, info.Mode(), err)
			}
			continue
		}
		if !strings.Contains(said, file) || !strings.Contains(said, c.says) || !strings.Contains(said, "mail from mail.test is not signed") {
			t.Errorf("%s: %q is said", c.name, said)
		}
	}
}
