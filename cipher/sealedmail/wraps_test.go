package sealedmail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// TestWrapsHoldNoPassword: what is kept of a keyring has neither a password nor the recovery key in it, nor anything that is the same for the same password; a recovery key wraps the
// key of the mail and no password, so that it opens the same whatever the password was or becomes.
func TestWrapsHoldNoPassword(t *testing.T) {
	password := []byte("a marked password")
	texts := make([]string, 2)
	var parts [2][][]byte
	for i := range texts {
		k, recovery, err := NewKeyring(password)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := k.Unlock(password)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.AddApp(keys, "phone", []byte("a marked app password")); err != nil {
			t.Fatal(err)
		}
		before := keys.Identities()
		id, err := k.AddPassword(keys, []byte("another one"))
		if err == nil {
			err = k.KeepPassword(id)
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := k.Recover(recovery)
		if err != nil || again.Identities() != before {
			t.Errorf("after a change the recovery key opens something else: %v", err)
		}
		text, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
		parts[i] = append(parts[i], k.data.Keys)
		for _, w := range k.data.Wraps {
			parts[i] = append(parts[i], w.Salt, w.Box)
		}
		for _, secret := range []string{string(password), "a marked app password", "another one", recovery, strings.ReplaceAll(recovery, "-", ""), strings.TrimSpace(before)} {
			sum := sha256.Sum256([]byte(secret))
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:])} {
				if strings.Contains(texts[i], form) {
					t.Errorf("%q is in it", form)
				}
			}
			for _, part := range parts[i] {
				if bytes.Contains(part, []byte(secret)) || bytes.Contains(part, sum[:]) {
					t.Errorf("%q is in a wrap", secret)
				}
			}
		}
	}
	for i, one := range parts[0] {
		for j, other := range parts[1] {
			if bytes.Equal(one, other) {
				t.Errorf("parts %d and %d of two keyrings with one password are the same", i, j)
			}
		}
	}
}

// TestKnownIsACopy: what a caller does with the public keys does nothing to the keyring; and a recovery key that was typed in as many pieces as it has words is one.
func TestKnownIsACopy(t *testing.T) {
	k, recovery, err := NewKeyring([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	k.Known()[0] = "another"
	if got := k.Known()[0]; got != k.Recipient() {
		t.Error(got)
	}
	all := strings.ReplaceAll(recovery, "-", "")
	var pieces []string
	for len(pieces) < recoveryWords-1 {
		pieces, all = append(pieces, all[:2]), all[2:]
	}
	typed := strings.Join(append(pieces, all), " ")
	want, err := ParseRecovery(recovery)
	if got, err2 := ParseRecovery(typed); got != want || err != nil || err2 != nil {
		t.Errorf("%q: %v, %v", typed, err, err2)
	}
}
