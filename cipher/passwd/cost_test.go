package passwd

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// taken is the memory in MiB that f allocates, by which work with argon2id is counted.
func taken(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

// TestRefusalsCostTheSame: a login that cannot succeed, for whatever reason, costs what a wrong password at a
// stored string of the same form does, or where there is none, at the one that is to be imitated.
func TestRefusalsCostTheSame(t *testing.T) {
	usual, err := Hash([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Replace(usual, "m=19456", "m=38912", 1)
	const cheap = "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"
	for _, c := range []struct {
		name, like, stored, attempt string // like: of the Verifier, and of the attempt
		password                    string
		want                        uint64 // MiB
	}{
		{"no account", "", "", "", "x", 19},
		{"no account, no password", "", "", "", "", 19},
		{"no account, as usual here", large, "", "", "x", 38},
		{"no account, as one of these", "", "", large, "x", 38},
		{"no account, as usual here, which is cheap", cheap, "", "", "x", 19},
		{"no account, as one of these, which is cheap", "", "", cheap, "x", 19},
		{"no account, as what is no form", "nothing", "", "nothing", "x", 19},
		{"a wrong password", "", usual, "", "x", 19},
		{"none", "", usual, "", "", 19},
		{"none, for a larger form", "", large, "", "", 38},
		{"too long a one", "", large, "", strings.Repeat("x", MaxPassword+1), 38},
		{"a wrong one for a cheap form", "", cheap, "", "x", 19},
		{"a wrong one for a cheap form, as usual here", large, cheap, "", "x", 38},
	} {
		v := Verifier{Like: c.like, Concurrency: 2}
		v.once.Do(v.start)
		got := taken(func() {
			err := v.Try(t.Context(), Attempt{Account: "a", Stored: c.stored, Like: c.attempt, Password: []byte(c.password)})
			if !errors.Is(err, ErrMismatch) {
				t.Errorf("%s: %v", c.name, err)
			}
		})
		if got < c.want || got > c.want+5 {
			t.Errorf("%s: took %d MiB, want %d", c.name, got, c.want)
		}
	}
}

// TestLongestIsTried: a password as long as may be is compared, and the next longer one is not.
func TestLongestIsTried(t *testing.T) {
	var v Verifier
	mailtest.Edge(t, "password", MaxPassword, func(n int) bool {
		password := bytes.Repeat([]byte("x"), n)
		sum := sha1.Sum(append(bytes.Clone(password), "salt"...))
		return v.Verify(t.Context(), "a", "{SSHA}"+base64.StdEncoding.EncodeToString(append(sum[:], "salt"...)), password) == nil
	})
}

// TestCheapTakesItsTurn: where a wrong password costs more than the stored form does, as many turns are taken as it
// will need.
func TestCheapTakesItsTurn(t *testing.T) {
	usual, err := Hash([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	v := Verifier{Like: strings.Replace(usual, "m=19456", "m=38912", 1), Concurrency: 2, AllowPlain: true}
	v.once.Do(v.start)
	release, err := v.acquire(t.Context(), 0, Attempt{}) // one of two
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := v.Verify(ctx, "a", "{PLAIN}secret", []byte("secret")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beside another one: %v", err)
	}
	release()
	if err := v.Verify(t.Context(), "a", "{PLAIN}secret", []byte("secret")); err != nil {
		t.Error(err)
	}
}
