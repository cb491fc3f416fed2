package daemon

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
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
