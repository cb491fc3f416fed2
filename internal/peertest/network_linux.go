package peertest

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// OwnNetwork gives the calling test a network that nobody else is in: it runs the
// test once more, in a namespace whose loopback interface has these addresses beside
// its own, and every port free. It reports whether this is that run; the other has
// nothing left to do.
func OwnNetwork(t *testing.T, addresses ...string) (inside bool) {
	t.Helper()
	needRoot(t)
	const mark = "POSTRIDER_TEST_NETWORK"
	if os.Getenv(mark) == t.Name() {
		ip(t, "link", "set", "lo", "up")
		for _, a := range addresses {
			ip(t, "address", "add", a, "dev", "lo")
		}
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	switch {
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		missing(t, "ip (iproute2): "+err.Error()+": "+string(out))
	}
}
