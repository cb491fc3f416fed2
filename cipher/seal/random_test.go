package seal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/cipher/seal"
)

// TestNothingTwice: keys differ, and so does what one of them seals, each time.
func TestNothingTwice(t *testing.T) {
	k := seal.GenerateKey()
	if k.Equal(seal.GenerateKey()) {
		t.Error("two keys are one")
	}
	one, err1 := k.SealText([]byte("secret"), []byte("x"))
	two, err2 := k.SealText([]byte("secret"), []byte("x"))
	if err1 != nil || err2 != nil || one == two {
		t.Errorf("a text is sealed the same way twice: %s, %v, %v", one, err1, err2)
	}
	if a, b := sealed(t, k, []byte("secret"), nil), sealed(t, k, []byte("secret"), nil); string(a) == string(b) {
		t.Error("a stream is sealed the same way twice")
	}
}

// TestCredentialModes: what systemd passes to the process is open to its group, and to
// nobody else; other files not even to that.
func TestCredentialModes(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key")
	if _, err := seal.CreateKey(name); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{dir, dir + "/", t.TempDir(), ""} {
		t.Setenv("CREDENTIALS_DIRECTORY", where)
		for _, mode := range []fs.FileMode{0o400, 0o440, 0o600, 0o640, 0o460, 0o450, 0o444, 0o441, 0o660} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
			good := mode&0o077 == 0 || filepath.Clean(where) == dir && mode&0o037 == 0
			if _, err := seal.LoadKey(name); (err == nil) != good || err != nil && !errors.Is(err, seal.ErrKeyFile) {
				t.Errorf("mode %04o with credentials in %q: %v", mode, where, err)
			}
		}
	}
}
