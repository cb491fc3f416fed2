package sealedmail

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestForget: keys that are forgotten are gone from memory, open nothing, and wrap nothing; a copy of them stays.
func TestForget(t *testing.T) {
	k, recovery, err := NewKeyring([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := k.Recover(recovery)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := k.Seal(&file)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "x")
	w.Close()
	clone := u.Clone()
	text, ring := u.keys[0].secret.octet, u.ring.octet
	if !strings.HasPrefix(string(text), "AGE-SECRET-KEY-1") || len(ring) != 32 {
		t.Fatalf("%q, %d", text, len(ring))
	}
	u.Forget()
	if len(bytes.Trim(text, "\x00")) != 0 || len(bytes.Trim(ring, "\x00")) != 0 {
		t.Error("they are still in memory")
	}
	if _, err := u.Open(bytes.NewReader(file.Bytes())); !errors.Is(err, ErrOpen) {
		t.Error(err)
	}
	if _, err := k.NewRecovery(u); !errors.Is(err, ErrKeyring) {
		t.Error(err)
	}
	if err := k.Rotate(u); err == nil {
		t.Error("keys were made to be opened by what is forgotten")
	}
	u.Forget()
	if r, err := clone.Open(bytes.NewReader(file.Bytes())); err != nil {
		t.Error(err)
	} else if got, err := io.ReadAll(r); string(got) != "x" {
		t.Error(err)
	}
}

// TestNotSwapped: what is guarded cannot be written to swap.
func TestNotSwapped(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	locked := func() string {
		text, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`VmLck:\s+(\d+)`).FindStringSubmatch(string(text))[1]
	}
	limits, err := os.ReadFile("/proc/self/limits")
	if err != nil || regexp.MustCompile(`Max locked memory\s+0\s`).Match(limits) {
		t.Skip("no memory may be locked here")
	}
	g := guard([]byte("secret"))
	if locked() == "0" {
		t.Error("nothing is locked")
	}
	runtime.KeepAlive(g)
}
