package sealedmail

import (
	"errors"
	"testing"
)

// A keyring never grows into one that cannot be read again.
func TestRotateStopsInTime(t *testing.T) {
	k, _, err := NewKeyring([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := k.Unlock([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		before := k.Recipient()
		err := k.Rotate(u)
		if errors.Is(err, ErrKeyring) && k.Recipient() == before && n > 100 {
			break
		}
		if err != nil || n > 1000 {
			t.Fatalf("rotation %d: %v", n, err)
		}
	}
	text, err := k.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Keyring).UnmarshalText(text); err != nil {
		t.Error(err)
	}
}
