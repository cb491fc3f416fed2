package accounts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/seal"
)

func TestCheckSealed(t *testing.T) {
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	key, err := seal.CreateKey(one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.CreateKey(other); err != nil {
		t.Fatal(err)
	}
	sealed, err := key.SealText([]byte("x"), []byte("route:name:a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, text, subject, want string }{
		{one, sealed, "route:name:a", ""},
		{one, sealed, "route:name:b", "another route"},
		{one, sealed + "x", "route:name:a", "was changed"},
		{one, "sealed:", "route:name:a", "was changed"},
		{other, sealed, "route:name:a", "another key"},
		{one + "x", sealed, "route:name:a", "is not there"},
	} {
		err := CheckSealed(c.file, c.text, c.subject)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if os.Chmod(one, 0o640) == nil {
		if err := CheckSealed(one, sealed, "route:name:a"); err == nil {
			t.Error("a key that others can read is used")
		}
		t.Setenv("CREDENTIALS_DIRECTORY", dir)
		os.Chmod(one, 0o440) // as systemd shows an access control list
		if err := CheckSealed(one, sealed, "route:name:a"); err != nil {
			t.Error(err)
		}
		os.Chmod(one, 0o444)
		if err := CheckSealed(one, sealed, "route:name:a"); err == nil {
			t.Error("a key that all can read is used")
		}
	}
}
