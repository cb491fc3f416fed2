package passwd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const (
	plainA = "{PLAIN}secret"
	plainB = "{PLAIN}other"
)

func TestRememberedUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := Verifier{AllowPlain: true, RememberFor: time.Minute}
		ctx := context.Background()
		known := func() bool { return v.known.holds("alice", plainA, []byte("secret")) }
		if v.Verify(ctx, "alice", plainA, []byte("wrong")); known() || len(v.known.entries) != 0 {
			t.Error("a failure was remembered")
		}
		if err := v.Verify(ctx, "alice", plainA, []byte("secret")); err != nil || !known() {
			t.Fatalf("Verify: %v, remembered: %v", err, known())
		}
		if v.known.holds("alice", plainA, []byte("wrong")) || v.known.holds("bob", plainA, []byte("secret")) {
			t.Error("remembered for another password or account")
		}
		time.Sleep(40 * time.Second)
		v.Verify(ctx, "alice", plainA, []byte("secret"))
		time.Sleep(19 * time.Second)
		if !known() {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Second)
		if known() {
			t.Error("a use of the remembered password prolonged its life")
		}
		if len(v.known.entries) != 0 {
			t.Error("an entry past its time was kept")
		}
	})
}

func TestRememberedDropped(t *testing.T) {
	v := Verifier{AllowPlain: true}
	ctx := context.Background()
	v.Verify(ctx, "alice", plainA, []byte("secret"))
	// The password was changed: the old one must fail at once, and the entry go.
	if err := v.Verify(ctx, "alice", plainB, []byte("secret")); !errors.Is(err, ErrMismatch) {
		t.Errorf("old password after a change: %v", err)
	}
	if v.known.holds("alice", plainA, []byte("secret")) {
		t.Error("entry survived a changed stored string")
	}
}

func TestRememberedBounded(t *testing.T) {
	v := Verifier{AllowPlain: true, Remember: 3}
	for i := range 20 {
		v.Verify(context.Background(), fmt.Sprint("user", i), plainA, []byte("secret"))
	}
	if n := len(v.known.entries); n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
	off := Verifier{AllowPlain: true, Remember: -1}
	off.Verify(context.Background(), "alice", plainA, []byte("secret"))
	if n := len(off.known.entries); n != 0 {
		t.Errorf("%d entries though nothing is to be remembered", n)
	}
}

// storm makes a Verifier whose dummy work waits until gate is closed and
// counts itself.
func storm(n int, gate chan struct{}) (v *Verifier, running, most *atomic.Int32) {
	v = &Verifier{Concurrency: n}
	v.once.Do(v.start)
	running, most = new(atomic.Int32), new(atomic.Int32)
	v.dummy = &form{memory: standard.memory, check: func([]byte) bool {
		most.Store(max(most.Load(), running.Add(1)))
		<-gate
		running.Add(-1)
		return false
	}}
	return v, running, most
}

func TestStormIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		v, running, most := storm(3, gate)
		for range 50 {
			go v.Dummy(context.Background(), []byte("x"))
		}
		synctest.Wait()
		if n := running.Load(); n != 3 {
			t.Errorf("%d hashes at a time, want 3", n)
		}
		// One that waits leaves when its context ends.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := v.Dummy(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting past its deadline: %v", err)
		}
		hash := (&argonHash{variant: "argon2id", memory: 8, time: 1, lanes: 1, salt: make([]byte, 16), sum: make([]byte, 32)}).String()
		if err := v.Verify(ctx, "alice", hash, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Verify past its deadline: %v", err)
		}
		close(gate)
		synctest.Wait()
		if n := most.Load(); n > 3 {
			t.Errorf("%d hashes at a time, want at most 3", n)
		}
	})
}

// A form larger than the standard counts as several; one larger than all
// slots runs alone.
func TestLargeFormsCountMore(t *testing.T) {
	v := Verifier{Concurrency: 4}
	v.once.Do(v.start)
	for _, tt := range []struct {
		memory uint32
		slots  int64
	}{{0, 1}, {standard.memory, 1}, {standard.memory + 1, 2}, {3 * standard.memory, 3}, {maxArgonMemory, 4}} {
		release, err := v.acquire(context.Background(), tt.memory, Attempt{})
		if err != nil {
			t.Fatal(err)
		}
		if took := 4 - v.turns.free; took != tt.slots {
			t.Errorf("%d KiB took %d slots, want %d", tt.memory, took, tt.slots)
		}
		release()
	}
}

// What a failed login costs must not tell whether there is such an account:
// counted in hashes, not in seconds.
func TestFailuresCostTheSame(t *testing.T) {
	gate := make(chan struct{})
	close(gate)
	for _, stored := range []string{
		"{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP",
		"{CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6",
		"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
	} {
		for _, password := range []string{"wrong", ""} {
			v, _, most := storm(1, gate)
			if err := v.Verify(context.Background(), "alice", stored, []byte(password)); !errors.Is(err, ErrMismatch) {
				t.Fatal(err)
			}
			if most.Load() != 1 {
				t.Errorf("a failure against %.10s cost no hash", stored)
			}
		}
	}
}

// Ten connections of one client at a time cost one hash.
func TestSameLoginTogether(t *testing.T) {
	v := Verifier{AllowPlain: true, Concurrency: 1}
	v.once.Do(v.start)
	release, _ := v.acquire(context.Background(), 0, Attempt{})
	done := make(chan error)
	go func() { done <- v.Verify(context.Background(), "alice", plainA, []byte("secret")) }()
	v.known.add("alice", plainA, []byte("secret"))
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A password too long for SHA-crypt costs what a wrong one costs: a quick answer
// would tell that there is an account.
func TestLongPasswordCostsTheSame(t *testing.T) {
	f, err := parseStored("$6$rounds=60000$saltstring$"+strings.Repeat(".", 86), false)
	if err != nil || f.cheap {
		t.Fatal(err, f)
	}
	work := func(password string) float64 {
		return testing.AllocsPerRun(1, func() { f.matches([]byte(password)) })
	}
	if long, short := work(strings.Repeat("x", 600)), work("x"); long < short {
		t.Errorf("%v allocations for a long password, %v for a short one", long, short)
	}
}

// TestTags: what is kept of a password that was right is of this process, this account, what is stored for it, and the password, each
// apart from the next: nothing of it can be looked up in a list.
func TestTags(t *testing.T) {
	var one, two memory
	one.start(0, 0)
	two.start(0, 0)
	seen := make(map[[32]byte]string)
	for _, m := range []*memory{&one, &two} {
		for _, c := range [][3]string{{"ann", "$x", "secret"}, {"bob", "$x", "secret"}, {"ann", "$y", "secret"}, {"ann", "$x", "other"}, {"ann$", "x", "secret"}, {"an", "n$x", "secret"}, {"ann", "$", "xsecret"}, {"ann", "$xs", "ecret"}} {
			tag := m.tag(c[0], c[1], []byte(c[2]))
			if before, is := seen[tag]; is {
				t.Errorf("%q has the tag of %s", c, before)
			}
			seen[tag] = c[0] + c[1] + c[2]
			if tag != m.tag(c[0], c[1], []byte(c[2])) {
				t.Errorf("%q has another tag each time", c)
			}
		}
	}
}
