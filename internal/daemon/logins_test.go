package daemon

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
)

// TestStoredForms: whatever form a password was stored in by the program that
// was here before, its owner sends and fetches mail with it.
func TestStoredForms(t *testing.T) {
	const bcrypt = "$2y$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq" // "test", by doveadm pw
	t.Setenv("POSTRIDER_TEST_HASH", bcrypt)
	hashFile := filepath.Join(t.TempDir(), "hash")
	if err := os.WriteFile(hashFile, []byte(bcrypt+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, fmt.Sprintf(`"Domains": {"old.test": {"Accounts": {
		"bcrypt": %[1]q,
		"dovecot": "{BLF-CRYPT}%[1]s",
		"sha512crypt": "$6$VbNlD4RhhwBgTFBm$iOu1ZCLoo39LblPgNgXI72ykiwDZ.vN3GrJ/2AmqHLS.jTqe1XMFOTYUIiy0szBltxXqnF9A62V1EvFVGluQu.",
		"ssha": "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP",
		"env": {"password": "env:POSTRIDER_TEST_HASH"},
		"file": {"password_file": %[2]q},
	}}},`, bcrypt, hashFile))
	for _, user := range []string{"bcrypt", "dovecot", "sha512crypt", "ssha", "env", "file"} {
		for password, right := range map[string]bool{"test": true, "tess": false} {
			smtp, pop3 := "535 5.7.8", "-ERR [AUTH]"
			if right {
				smtp, pop3 = "235 2.7.0", "+OK"
			}
			k := w.dial("127.0.0.2:0")
			k.play("S: 220\nC: EHLO c.test\nS: 250")
			k.startTLS("STARTTLS", "220")
			k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " +
				base64.StdEncoding.EncodeToString([]byte("\x00"+user+"@old.test\x00"+password)) + "\nS: " + smtp)
			k = w.dial("127.0.0.4:0")
			k.play("S: +OK")
			k.startTLS("STLS", "+OK")
			k.play("C: USER " + user + "@old.test\nS: +OK\nC: PASS " + password + "\nS: " + pop3)
		}
	}
}

// TestNewPassword: from the reload on the new password counts and the old one
// does not, though it was right, and remembered, a moment ago.
func TestNewPassword(t *testing.T) {
	w := start(t, `"Accounts": {"carol@mail.test": "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"},`) // "test"
	login := func(user, password, want string) *talk {
		t.Helper()
		k := w.dial("127.0.0.2:0")
		k.play("S: 220\nC: EHLO c.test\nS: 250")
		k.startTLS("STARTTLS", "220")
		k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " +
			base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)) + "\nS: " + want)
		return k
	}
	change := func(old, new string) {
		t.Helper()
		file := filepath.Join(w.dir, "t.conf")
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), old) {
			t.Fatal(err, old)
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	login("carol@mail.test", "test", "235")
	login("carol@mail.test", "test", "235")
	hash, err := passwd.Hash([]byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	change("{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP", hash)
	login("carol@mail.test", "test", "535")
	k := login("carol@mail.test", "another", "235")

	// Who is no more cannot log in, and who is logged in cannot send any more.
	change(`"carol@mail.test"`, `"dora@mail.test"`)
	login("carol@mail.test", "another", "535")
	login("dora@mail.test", "another", "235")
	k.play("C: MAIL FROM:<carol@mail.test>\nS: 5")
}
