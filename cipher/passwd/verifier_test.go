package passwd_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
)

// plain makes hash work cheap where a test is about something else.
const plain = "{PLAIN}secret"

// TestAnew: what is to be computed each time is, neither remembering nor taking what was remembered.
func TestAnew(t *testing.T) {
	hash, _ := passwd.Hash([]byte("secret"))
	var v passwd.Verifier
	computed := 0
	try := func(anew bool) {
		t.Helper()
		a := passwd.Attempt{Account: "alice", Stored: hash, Password: []byte("secret"), Anew: anew, Allowed: func() error { computed++; return nil }}
		if err := v.Try(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for i, step := range []struct {
		anew bool
		want int
	}{{true, 1}, {false, 2}, {false, 2}, {true, 3}, {false, 3}} {
		if try(step.anew); computed != step.want {
			t.Errorf("step %d: computed %d times, want %d", i, computed, step.want)
		}
	}
}

func TestVerifier(t *testing.T) {
	hash, _ := passwd.Hash([]byte("secret"))
	var v passwd.Verifier
	ctx := context.Background()
	for _, tt := range []struct {
		stored, password string
		want             error
	}{
		{hash, "wrong", passwd.ErrMismatch},
		{hash, "secret", nil},
		{hash, "secret", nil}, // remembered
		{hash, "wrong", passwd.ErrMismatch},
		{hash, "", passwd.ErrMismatch},
		{hash, strings.Repeat("x", 5000), passwd.ErrMismatch},
		{hash, "secret", nil},
		{"{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP", "wrong", passwd.ErrMismatch},
		{"{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP", "test", nil},
		{plain, "secret", passwd.ErrRefused},
		{"damaged", "secret", passwd.ErrForm},
	} {
		if err := v.Verify(ctx, "alice", tt.stored, []byte(tt.password)); !errors.Is(err, tt.want) {
			t.Errorf("Verify(%s, %.10q) = %v, want %v", tt.stored, tt.password, err, tt.want)
		}
	}
	if err := v.Dummy(ctx, []byte("secret")); !errors.Is(err, passwd.ErrMismatch) {
		t.Errorf("Dummy: %v", err)
	}
	lax := passwd.Verifier{AllowPlain: true, Like: "{BLF-CRYPT}$2y$09$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq"}
	if err := lax.Verify(ctx, "bob", plain, []byte("secret")); err != nil {
		t.Errorf("AllowPlain: %v", err)
	}
	if err := lax.Verify(ctx, "bob", plain, []byte("Secret")); !errors.Is(err, passwd.ErrMismatch) {
		t.Errorf("AllowPlain: %v", err)
	}
	if err := lax.Dummy(ctx, []byte("secret")); !errors.Is(err, passwd.ErrMismatch) {
		t.Errorf("Dummy like bcrypt: %v", err)
	}
}
