package accounts

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/seal"
)

func TestNewPassword(t *testing.T) {
	for password, want := range map[string]string{
		"": "empty", "a\nb": "line break", "a\x00": "NUL", strings.Repeat("x", passwd.MaxPassword+1): "longer than", "horse battery": "",
	} {
		if err := Usable([]byte(password)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", password, err)
		}
	}
	for password, ok := range map[string]bool{"Alice.Long@example.com": false, "alice.long": false, "seven77": false, "äöüäöüä": false, "eight888": true, string(RandomPassword()): true} {
		if err := Strong([]byte(password), "alice.long@example.com"); (err == nil) != ok {
			t.Errorf("%q: %v", password, err)
		}
	}
	k, err := NewKeys([]byte("horse battery"), nil)
	if err != nil || k.APOP != "" {
		t.Fatal(k, err)
	}
	for _, stored := range []string{k.Password, k.ScramSHA256, k.CRAMMD5} {
		if err := passwd.Verify(stored, []byte("horse battery")); err != nil || passwd.Verify(stored, []byte("horse")) == nil {
			t.Errorf("%.12s: %v", stored, err)
		}
	}
	key, _, err := seal.EnsureKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := SealAPOP(key, "a@example.com", []byte("horse battery"))
	if err == nil {
		sealed, err = ResealAPOP(key, sealed, "a@example.com", "b@example.com")
	}
	if err != nil {
		t.Fatal(err)
	}
	if text, err := key.OpenText(sealed, apopContext("b@example.com")); err != nil || string(text) != "horse battery" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := ResealAPOP(key, sealed, "a@example.com", "b@example.com"); err == nil {
		t.Error("a secret of another was taken")
	}
}
