package dkim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestGenerateKey(t *testing.T) {
	for _, typ := range []string{"rsa", "ed25519"} {
		key, err := GenerateKey(typ)
		if err != nil {
			t.Fatal(err)
		}
		text, err := FormatKey(key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadKey(text)
		if err != nil || !again.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
			t.Errorf("%s: %v", typ, err)
		}
		record, err := Record(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		public, err := ParseKey(record)
		if err != nil || public.Type != typ || public.Bits != map[string]int{"rsa": 2048, "ed25519": 256}[typ] || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(public.Public) {
			t.Errorf("%s: %+v, %v", record, public, err)
		}
		if !strings.HasPrefix(record, "v=DKIM1; k="+typ+"; p=") || strings.Count(record, ";") != 2 {
			t.Error(record)
		}
	}
	if _, err := GenerateKey("dsa"); err == nil {
		t.Error("a key of an unknown type")
	}
}

// TestReadKey: keys are read in every form that they are kept in, and others refused with the reason.
func TestReadKey(t *testing.T) {
	r := testKeys()[0].Key.(*rsa.PrivateKey)
	e := testKeys()[1].Key.(ed25519.PrivateKey)
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(r)}))
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(r.Public())
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	for name, test := range map[string]struct {
		text, wrong string
		want        crypto.Signer
	}{
		"PKCS #1":             {pkcs1, "", r},
		"PKCS #8":             {pkcs8(r), "", r},
		"PKCS #8 ed25519":     {pkcs8(e), "", e},
		"with CRLF":           {strings.ReplaceAll(pkcs8(r), "\n", "\r\n"), "", r},
		"text before it":      {"; opendkim\n" + pkcs1, "", r},
		"seed":                {b64(e.Seed()) + "\n", "", e},
		"seed and public key": {b64(e), "", e},
		"halves that differ":  {b64(append(e.Seed(), e.Seed()...)), "do not belong together", nil},
		"public key":          {string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), "no private key", nil},
		"another kind":        {pkcs8(p256), "unknown type", nil},
		"encrypted":           {string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: public})), "password", nil},
		"encrypted, old":      {string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: public})), "password", nil},
		"damaged":             {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: public[:100]})), "", nil},
		"empty":               {"", "neither PEM", nil},
		"a record":            {"v=DKIM1; p=" + b64(public), "neither PEM", nil},
		"too many octets":     {b64(make([]byte, 65)), "neither PEM", nil},
	} {
		key, err := ReadKey([]byte(test.text))
		switch {
		case test.want == nil && err == nil:
			t.Errorf("%s: no error", name)
		case test.want == nil && !strings.Contains(err.Error(), test.wrong):
			t.Errorf("%s: %v", name, err)
		case test.want != nil && (err != nil || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(test.want.Public())):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPeersKeys: keys made by others are read, and the records they print.
func TestPeersKeys(t *testing.T) {
	dir := t.TempDir()
	for _, tool := range []struct {
		command []string
		key     string
		record  string
	}{
		{[]string{"opendkim-genkey", "-b", "2048", "-d", "example.com", "-s", "old", "-D", dir}, "old.private", "old.txt"},
		{[]string{"/usr/bin/dknewkey", "--ktype", "rsa", filepath.Join(dir, "new")}, "new.key", "new.dns"},
		{[]string{"/usr/bin/dknewkey", "--ktype", "ed25519", filepath.Join(dir, "ed")}, "ed.key", "ed.dns"},
	} {
		program, err := exec.LookPath(tool.command[0])
		if err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
		cmd := exec.CommandContext(t.Context(), program, tool.command[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", tool.command, err, out)
		}
		text, err1 := os.ReadFile(filepath.Join(dir, tool.key))
		dns, err2 := os.ReadFile(filepath.Join(dir, tool.record))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		key, err := ReadKey(text)
		if err != nil {
			t.Errorf("%v: %v", tool.command, err)
			continue
		}
		record := string(dns)
		if i := strings.IndexByte(record, '"'); i >= 0 { // strings of a zone file
			record = ""
			for _, m := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(string(dns), -1) {
				record += m[1]
			}
		}
		for _, f := range CheckRecords([]string{strings.TrimSpace(record)}, key.Public()) {
			if f.Fatal {
				t.Errorf("%v: %+v: %s", tool.command, f, record)
			}
		}
	}
}
