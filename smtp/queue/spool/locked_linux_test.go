package spool_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestLocked: another process cannot open the spool until it is closed.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	another := func() ([]byte, error) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), startEnv+"="+dir)
		return cmd.CombinedOutput()
	}
	out, err := another()
	if err == nil || !bytes.Contains(out, []byte("another process has it open, process "+fmt.Sprint(os.Getpid()))) {
		t.Errorf("%v: %s", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := another(); err != nil {
		t.Errorf("after Close: %v: %s", err, out)
	}
}
