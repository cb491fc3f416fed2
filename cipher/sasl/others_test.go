package sasl

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestOthers: any of an account's secrets is as good as the first, and who keeps them learns which it was; one with
// another salt than the client was told is not.
func TestOthers(t *testing.T) {
	salt := []byte("0123456789abcdef")
	var known []string
	secret := func(password string, salt []byte) Secret {
		k, err := DeriveScram(ScramSHA256, []byte(password), salt, 4096)
		if err != nil {
			t.Fatal(err)
		}
		return Secret{SCRAM: k, CRAM: MakeCRAM([]byte(password)), Proven: func() { known = append(known, password) }}
	}
	first := secret("pencil", salt)
	first.Others = []Secret{secret("phone", salt), {}, secret("laptop", salt), secret("old", []byte("another salt 456"))}
	c := fixed{"user", first}
	for _, tt := range []struct {
		mechanism, password string
		ok                  bool
	}{
		{"SCRAM-SHA-256", "pencil", true}, {"SCRAM-SHA-256", "phone", true}, {"SCRAM-SHA-256", "laptop", true},
		{"SCRAM-SHA-256", "old", false}, {"SCRAM-SHA-256", "none", false},
		{"CRAM-MD5", "pencil", true}, {"CRAM-MD5", "phone", true}, {"CRAM-MD5", "old", true}, {"CRAM-MD5", "none", false},
	} {
		known = nil
		all, err := Named(tt.mechanism)
		if err != nil {
			t.Fatal(err)
		}
		client := CRAMMD5Client("user", tt.password)
		if tt.mechanism != "CRAM-MD5" {
			if client, err = ScramClient(tt.mechanism, "", "user", tt.password, nil); err != nil {
				t.Fatal(err)
			}
		}
		_, initial, err := client.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// A client of SCRAM looks at what the server proves in turn: it must be by the same secret.
		account, err := Exchange(t.Context(), all[0].New(c), initial, func(challenge []byte) ([]byte, error) {
			return client.Next(context.Background(), challenge)
		})
		if tt.ok != (err == nil) || tt.ok && (account != "user" || fmt.Sprint(known) != "["+tt.password+"]") || !tt.ok && (!errors.Is(err, ErrDenied) || known != nil) {
			t.Errorf("%s by %s: %q %v, known %v", tt.mechanism, tt.password, account, err, known)
		}
	}
}

// TestProvenByAPOP: who keeps a secret learns that it was proven, and nothing of one that was not.
func TestProvenByAPOP(t *testing.T) {
	proven := 0
	c := fixed{"user", Secret{APOP: []byte("pencil"), Proven: func() { proven++ }}}
	const timestamp = "<1@h>"
	if _, err := VerifyAPOP(t.Context(), c, timestamp, "user", APOPDigest(timestamp, []byte("none"))); !errors.Is(err, ErrDenied) || proven != 0 {
		t.Error(err, proven)
	}
	if account, err := VerifyAPOP(t.Context(), c, timestamp, "user", APOPDigest(timestamp, []byte("pencil"))); err != nil || account != "user" || proven != 1 {
		t.Error(account, err, proven)
	}
}
