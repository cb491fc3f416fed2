package passwd_test

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestSalts: the same password is never stored in the same words.
func TestSalts(t *testing.T) {
	one, err1 := passwd.Hash([]byte("secret"))
	two, err2 := passwd.Hash([]byte("secret"))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	salt := func(stored string) string { return strings.Split(stored, "$")[4] }
	if salt(one) == salt(two) || strings.Trim(salt(one), "A") == "" {
		t.Errorf("%s and %s", one, two)
	}
}

// TestLongestPassword: a password as long as may be is one.
func TestLongestPassword(t *testing.T) {
	mailtest.Edge(t, "password", passwd.MaxPassword, func(n int) bool {
		_, err := passwd.Hash([]byte(strings.Repeat("x", n)))
		return err == nil
	})
}

// TestDamagedPBKDF2: a stored string of which one part is none is no form.
func TestDamagedPBKDF2(t *testing.T) {
	const sum = "0123456789abcdef0123456789abcdef01234567"
	for s, good := range map[string]bool{
		"{PBKDF2}$1$salt$5000$" + sum: true, "{PBKDF2}$1$salt$5000$" + sum[:38] + "zz": false, "{PBKDF2}$1$salt$x$" + sum: false, "{PBKDF2}$1$salt$05000$" + sum: false,
		"{PBKDF2}$2$salt$5000$" + sum: false, "{PBKDF2}$1$salt$5000$": false, "{PBKDF2}$1$salt$5000$" + sum + "$": false, "{PBKDF2}x$1$salt$5000$" + sum: false,
	} {
		if err := passwd.CheckForm(s); (err == nil) != good {
			t.Errorf("%s: %v", s, err)
		}
	}
}
