//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// withoutCores has this process and its children leave no core dumps: in one are the keys and the mail of those who are logged in. Who looks for a fault asks
// for one by GOTRACEBACK=crash. The process stays open to debuggers and to /proc of its own user, as PR_SET_DUMPABLE would not have it: that
// closes its own /proc to itself, too.
func withoutCores() {
	var r unix.Rlimit
	if os.Getenv("GOTRACEBACK") == "crash" || unix.Getrlimit(unix.RLIMIT_CORE, &r) != nil {
		return
	}
	r.Cur = 0
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &r)
}
