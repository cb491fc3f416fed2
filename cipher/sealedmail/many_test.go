package sealedmail

import (
	"errors"
	"testing"

	"filippo.io/age"
)

// A keyring never grows into one that cannot be read again.
func TestRotateStopsInTime(t *testing.T) {
	u := new(Unlocked)
	for range 330 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		u.keys = append(u.keys, id)
	}
	k := new(Keyring)
	if _, err := k.seal(u, []byte("password")); err != nil {
		t.Fatal(err)
	}
	before := k.Recipient()
	if err := k.Rotate([]byte("password")); !errors.Is(err, ErrKeyring) || k.Recipient() != before {
		t.Errorf("Rotate with %d keys: %v", len(u.keys), err)
	}
}
