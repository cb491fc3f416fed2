package conf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCert writes a certificate for a name that ends after left.
func writeCert(t *testing.T, dir, file, name string, left time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(left)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{file + ".crt": {Type: "CERTIFICATE", Bytes: der}, file + ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAdvice(t *testing.T) {
	const day = 24 * time.Hour
	dir := t.TempDir()
	writeCert(t, dir, "good", "mail.example.com", 90*day)
	writeCert(t, dir, "short", "mail.example.com", 3*day+time.Hour)
	writeCert(t, dir, "other", "mail.example.org", 90*day)
	pair := func(name string) string { return `{"cert_file": "` + name + `.crt", "key_file": "` + name + `.key"}` }
	if err := os.WriteFile(filepath.Join(dir, "broken.crt"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := `{"password": "` + hashA + `", "scram_sha_256": "SCRAM-SHA-256$x", "cram_md5": "` + strings.Repeat("00", 32) + `"}`
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", ``, nil},
		{"a good certificate", `"TLS": {"certificates": [` + pair("good") + `]}`, nil},
		{"one of two fits", `"TLS": {"certificates": [` + pair("other") + `, ` + pair("good") + `]}`, nil},
		{"another name", `"TLS": {"certificate_file": "other.crt", "certificate_key_file": "other.key"}`,
			[]string{"server_name: no certificate is for this name"}},
		{"about to expire", `"TLS": {"certificate_file": "short.crt", "certificate_key_file": "short.key"}`,
			[]string{"TLS.certificate_file: the certificate expires on", "in 3 days"}},
		{"one cannot be read", `"TLS": {"certificates": [` + pair("other") + `, {"cert_file": "broken.crt", "key_file": "other.key"}]}`, nil},
		{"passwords in the clear", `"SMTP": {"cleartext_auth": true}`, []string{"SMTP.cleartext_auth: anybody on the way"}},
		{"nobody has keys", `"Accounts": {"a@b.example": "` + hashA + `"}`, nil},
		{"all have keys", `"Accounts": {"a@b.example": ` + full + `, "off@b.example": {"disabled": true}, "none@b.example": {}}`, nil},
		{"one has none", `"Accounts": {"a@b.example": ` + full + `, "b@b.example": "` + hashA + `", "c@b.example": "` + hashA + `"}`,
			[]string{`Accounts."b@b.example": without keys for SCRAM-SHA-256`, "run: postrider user passwd b@b.example (and c@b.example)", "without keys for CRAM-MD5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(dir, "x.conf")
			if err := os.WriteFile(name, []byte(`{"server_name": "mail.example.com", "data_dir": "data", `+c.text+`}`), 0o600); err != nil {
				t.Fatal(err)
			}
			s, problems := Verify(name, Probes{})
			if len(problems) > 0 && !strings.Contains(c.text, "broken") {
				t.Fatal(problems)
			}
			var all strings.Builder
			for _, a := range s.Advice() {
				all.WriteString(a.Error() + "\n")
			}
			if len(c.want) == 0 && all.Len() > 0 {
				t.Errorf("got %s", all.String())
			}
			for _, want := range c.want {
				if !strings.Contains(all.String(), want) {
					t.Errorf("got %s\nwant %s", all.String(), want)
				}
			}
			if strings.Contains(all.String(), hashA) {
				t.Error("a hash is shown")
			}
		})
	}
	if got := andMore([]string{"a", "b", "c", "d"}); got != " (and others)" {
		t.Errorf("andMore: %s", got)
	}
}

// TestNotes: nothing is wrong with the files in testdata/conf/notes, and each is
// noted upon by the text in the .want beside it.
func TestNotes(t *testing.T) {
	eachWanted(t, "notes", 6, func(t *testing.T, name string) []error {
		s, problems := Verify(name, Probes{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return s.Advice()
	})
}

// TestQuotaAdvice: what holds hardly a message is noted, from one octet up to 64 kB.
func TestQuotaAdvice(t *testing.T) {
	for octets, noted := range map[int]bool{0: false, 1: true, 50: true, 64<<10 - 1: true, 64 << 10: false} {
		for _, where := range []string{
			`"Store": {"quota": %d}`, `"Domains": {"example.com": {"quota": %d, "Accounts": {"a": {}}}}`,
			`"Domains": {"example.com": {"total_quota": %d, "Accounts": {"a": {}}}}`, `"Accounts": {"a@example.com": {"quota": %d}}`,
		} {
			s, problems := Verify(folder(t, "a.conf", fmt.Sprintf(`{"server_name": "mail.example.com", "data_dir": "data", `+where+`}`, octets)), Probes{})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got := false
			for _, a := range s.Advice() {
				got = got || strings.Contains(a.Error(), "is hardly room for one message")
			}
			if got != noted {
				t.Errorf(where+": noted: %v, %v", octets, got, s.Advice())
			}
		}
	}
}

// TestNoteOfFiles: what a later file says in place of an earlier one is noted with
// both places; what a null takes back, and objects that are merged, are not.
func TestNoteOfFiles(t *testing.T) {
	dir := folder(t,
		"a.conf", "{\n\"server_name\": \"a.example.com\", \"data_dir\": \"data\",\n\"SMTP\": {\"tarpit\": \"1s\", \"max_recipients\": 150}, \"Domains\": {\"c.example\": {\"catch_all\": \"b@d.example\"}}}",
		"b.conf", "{\n\"server_name\": \"b.example.com\",\n\"SMTP\": {\"max_recipients\": 160, \"idle_timeout\": \"6m\"}, \"Domains\": {\"c.example\": null}}")
	s, problems := Verify(dir, Probes{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, note := range s.Advice() {
		brief, _, _ := strings.Cut(strings.ReplaceAll(note.Error(), dir+string(filepath.Separator), ""), "\n")
		got = append(got, brief)
	}
	want := []string{
		"b.conf:2:1: server_name: this takes the place of what stands in a.conf:2:1",
		"b.conf:3:10: SMTP.max_recipients: this takes the place of what stands in a.conf:3:26",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPartOfFiles: what cannot be read in one file hides nothing that is wrong in
// the others, and brings no problem of its own with what it may have said.
func TestPartOfFiles(t *testing.T) {
	const broken = "{\"server_name\": \"mail.example.com\",\n\"Accounts\": {\"bob@example.com\": {}}\n"
	const other = "{\"data_dir\": \"data\",\n\"SMTP\": {\"max_recipient\": 5},\n\"POP3\": {\"deletion\": \"maybe\"},\n\"Aliases\": {\"x@example.com\": \"bob@example.com\"}}"
	dir := folder(t, "a.conf", broken, "b.conf", "", "c.conf", other)
	_, problems := Verify(dir, Probes{})
	want := []string{"a.conf:3:1: the file ends", "c.conf:2:10: SMTP.max_recipient: unknown key", "c.conf:3:22: POP3.deletion: \"maybe\" is not one of"}
	if len(problems) != len(want) {
		t.Fatalf("got %v", problems)
	}
	for i, p := range problems {
		if text := strings.ReplaceAll(p.Error(), dir+string(filepath.Separator), ""); !strings.HasPrefix(text, want[i]) {
			t.Errorf("got %s, want %s", text, want[i])
		}
	}
	if s, err := Load(dir); s != nil || err == nil {
		t.Errorf("Load: %v, %v", s, err)
	}
}

// TestOnlyHere: a server that others can find or reach is not for this machine alone.
func TestOnlyHere(t *testing.T) {
	for _, c := range []struct {
		name, listeners string
		want            bool
	}{
		{"localhost", "127.0.0.1:2525 [::1]:2525 localhost:2110 unix:lmtp.sock", true},
		{"LocalHost.", "127.0.0.2:25", true},
		{"mail.example.com", "127.0.0.1:2525", false},
		{"localhost", "127.0.0.1:2525 192.0.2.1:25", false},
		{"localhost", "0.0.0.0:25", false},
		{"localhost", "[::]:25", false},
		{"localhost", ":25", false},
		{"localhost", "example.com:25", false},
	} {
		s := New()
		s.ServerName, s.Listeners = c.name, nil
		for _, a := range strings.Fields(c.listeners) {
			s.Listeners = append(s.Listeners, Listener{Address: a})
		}
		if got := s.OnlyHere(); got != c.want {
			t.Errorf("%s at %s: %v", c.name, c.listeners, got)
		}
	}
}
