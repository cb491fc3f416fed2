package seal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/mailtest"
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

// TestDescriptors: a key file is closed, whether there is a key in it or not.
func TestDescriptors(t *testing.T) {
	dir := t.TempDir()
	good, bad, open := filepath.Join(dir, "good"), filepath.Join(dir, "bad"), filepath.Join(dir, "open")
	if _, err := seal.CreateKey(good); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(bad, []byte("no key\n"), 0o600), os.WriteFile(open, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	mailtest.Descriptors(t, func() {
		for name, want := range map[string]error{good: nil, bad: seal.ErrKeyFile, open: seal.ErrKeyFile, dir: seal.ErrKeyFile} {
			if _, err := seal.LoadKey(name); !errors.Is(err, want) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}

// TestKeysCompared: the zero Key is equal to itself alone.
func TestKeysCompared(t *testing.T) {
	var zero seal.Key
	k := seal.GenerateKey()
	if zero.Equal(k) || k.Equal(zero) || !zero.Equal(seal.Key{}) || !k.Equal(k) {
		t.Error("keys are compared wrongly")
	}
	if _, err := k.OpenText("not sealed", nil); !errors.Is(err, seal.ErrOpen) {
		t.Error(err)
	}
	one, err := k.SealText([]byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.OpenText(one[len("sealed:"):], nil); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("without its beginning: %v", err)
	}
}
