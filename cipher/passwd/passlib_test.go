package passwd_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
)

// What Python's passlib 1.7.4 made of "pässword", the PBKDF2 strings that
// parsePBKDF2 was written after.
var passlib = []string{
	"$pbkdf2$131000$9T5HiFFqDSGEEGJMSYlxLg$TeG16J6JV9OXXHROj3tcD47L5Jk",
	"$pbkdf2-sha256$29000$ZwwBwNj7/x8DYCwFIGQsRQ$xOyMhCo.XoyhT3JuX6S19v.IYqD6kFowVCw7sAjNUcI",
	"$pbkdf2-sha512$25000$ujfmfE/JuXcOQYixNqb03g$9nKnoXM1elve3CqngewkQqzJF9n17IMzwXoNfrdoEtLn2Xp5LLO1Tx.qHLvFvrW2RXMwPkT/2.wopJ/RrGT/hw",
}

const makePasslib = `
from passlib.hash import pbkdf2_sha1, pbkdf2_sha256, pbkdf2_sha512, sha256_crypt, sha512_crypt, ldap_salted_sha1, bcrypt
for h in (pbkdf2_sha1, pbkdf2_sha256, pbkdf2_sha512, sha256_crypt, sha512_crypt, ldap_salted_sha1):
    print(h.hash("pässword"))
    try:
        print(h.using(rounds=1500).hash("pässword"))
    except TypeError:
        pass
try:
    print(bcrypt.hash("pässword"))
except Exception:
    pass # it needs a library more
`

func TestPasslib(t *testing.T) {
	check := func(stored string) {
		t.Helper()
		if err := passwd.Verify(stored, []byte("pässword")); err != nil {
			t.Errorf("%s: %v", stored, err)
		}
		if err := passwd.Verify(stored, []byte("password")); !errors.Is(err, passwd.ErrMismatch) {
			t.Errorf("%s with another password: %v", stored, err)
		}
	}
	for _, stored := range passlib {
		check(stored)
	}
	// Debian's own Python has Debian's modules.
	python := "/usr/bin/python3"
	if exec.Command(python, "-c", "import passlib").Run() != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-passlib is not installed")
		}
		t.Skip("python3-passlib is not installed")
	}
	cmd := exec.Command(python, "-c", makePasslib)
	cmd.Env = append(os.Environ(), "PYTHONUTF8=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); n++ {
		check(lines.Text())
	}
	if n < 11 {
		t.Errorf("passlib made %d strings", n)
	}
}
