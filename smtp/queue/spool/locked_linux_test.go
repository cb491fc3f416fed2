package spool_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// TestLocked: another process cannot open the spool.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), startEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("another process has it open, process "+fmt.Sprint(os.Getpid()))) {
		t.Errorf("%v: %s", err, out)
	}
	runtime.KeepAlive(s)
}
