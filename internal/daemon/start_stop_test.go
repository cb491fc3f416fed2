package daemon

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestStopWhileStarting: who asks the program to stop, or to reload, as soon as there is
// something to be seen of it is heard, and it ends in order. It would end by the signal, before.
func TestStopWhileStarting(t *testing.T) {
	v := underAttack(t, "")
	v.cmd.Process.Kill()
	<-v.ended
	for range 8 {
		socket := filepath.Join(v.dir, "data", "control.sock")
		os.Remove(socket)
		v.begin()
		for end := time.Now().Add(forEver); ; time.Sleep(50 * time.Microsecond) { // it is to be quick
			if _, err := os.Stat(socket); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("it does not come up")
			}
		}
		v.cmd.Process.Signal(syscall.SIGHUP)
		v.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-v.ended:
			if err != nil {
				t.Errorf("it ended: %v", err)
			}
		case <-time.After(forEver):
			t.Fatal("it does not stop")
		}
	}
	v.again() // for the end of the test, which stops it
}
