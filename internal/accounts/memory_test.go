package accounts

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// TestRestart: the owner of an account is known again, and guesses are not
// forgiven.
func TestRestart(t *testing.T) {
	s := settingsOf(t, "alice")
	s.Auth.MaxFailuresPerAddress, s.Auth.MaxFailuresPerAccount = 3, 5
	before := newCredentials(t, s, nil, io.Discard)
	if _, err := before.Verify(from(t, 1), "", "alice", []byte("right")); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		before.Verify(from(t, 99), "", "nobody", fmt.Append(nil, i))
	}
	memory, err := before.Memory()
	if err != nil {
		t.Fatal(err)
	}
	after := newCredentials(t, s, nil, io.Discard)
	if err := after.Recall(memory); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		after.Verify(from(t, byte(10+i)), "", "alice", fmt.Append(nil, i))
	}
	if _, err := after.Verify(from(t, 2), "", "alice", []byte("right")); !errors.Is(err, sasl.ErrThrottled) {
		t.Errorf("ten guesses at an account: %v", err)
	}
	if _, err := after.Verify(from(t, 1), "", "alice", []byte("right")); err != nil {
		t.Errorf("the owner is locked out after a restart: %v", err)
	}
	if _, err := after.Verify(from(t, 99), "", "nobody", []byte("more")); !errors.Is(err, sasl.ErrThrottled) {
		t.Errorf("a restart forgives guesses: %v", err)
	}
	for _, bad := range []string{"", "{", `[{"account": 1}]`} {
		if err := after.Recall([]byte(bad)); err == nil {
			t.Errorf("%q was taken up", bad)
		}
	}
	if err := after.Recall([]byte(`[{}, {"account": "x", "level": -5, "at": "2999-01-01T00:00:00Z"}]`)); err != nil {
		t.Error(err)
	}
}
