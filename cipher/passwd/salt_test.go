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
