package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestWithoutCores: the server makes no core dumps, unless they are asked for.
func TestWithoutCores(t *testing.T) {
	var old, now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &old); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_CORE, &old)
	set := old
	set.Cur = old.Max
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &set); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOTRACEBACK", "crash")
	withoutCores()
	if unix.Getrlimit(unix.RLIMIT_CORE, &now); now != set {
		t.Errorf("asked for, and the limit is %d", now.Cur)
	}
	t.Setenv("GOTRACEBACK", "")
	withoutCores()
	if unix.Getrlimit(unix.RLIMIT_CORE, &now); now.Cur != 0 || now.Max != set.Max {
		t.Errorf("the limit is %+v", now)
	}
}
