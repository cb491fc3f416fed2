//go:build unix

package crashtest

import (
	"bufio"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Worker is another process, to which real crashes can happen: the test's own
// program, started again. It works as fast as it can, and says on standard
// output, in whole lines, what it has been told is safe.
type Worker struct {
	cmd    *exec.Cmd
	out    *bufio.Scanner
	heard  func(line string)
	killed sync.Once
}

// StartWorker starts this program with env added to its environment, from which
// its TestMain knows what to do. wrap, if any, is the command that runs it. heard
// is called with each line it says, while Listen or Kill runs.
func StartWorker(t testing.TB, env string, heard func(line string), wrap ...string) *Worker {
	t.Helper()
	args := append(wrap, os.Args[0])
	w := &Worker{cmd: exec.Command(args[0], args[1:]...), heard: heard}
	w.cmd.Env = append(os.Environ(), env, "GOTRACEBACK=none")
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(2*time.Minute, w.Signal)
	t.Cleanup(func() {
		stuck.Stop()
		w.Kill()
	})
	w.out = bufio.NewScanner(out)
	return w
}

// Listen hears lines until enough says so, after one, or the worker ends.
func (w *Worker) Listen(enough func() bool) {
	for !enough() && w.out.Scan() {
		w.heard(w.out.Text())
	}
}

// Signal kills the worker and, if that is another process, what runs it, without
// waiting.
func (w *Worker) Signal() { _ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL) }

// Stop makes the worker do nothing from now on. What it has asked of the kernel is
// still done.
func (w *Worker) Stop() { _ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGSTOP) }

// Kill ends the worker without warning, and hears what it had said.
func (w *Worker) Kill() {
	w.killed.Do(func() {
		w.Signal()
		w.Listen(func() bool { return false })
		_ = w.cmd.Wait()
	})
}

// Inject is the command line of strace that lets the calls, a list with commas,
// have a fault: "error=EIO:when=3", "signal=SIGKILL:when=5" (strace(1)). Without
// strace the test is skipped, or fails in CI.
func Inject(t testing.TB, calls, fault string) []string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("strace is not installed")
	}
	return []string{strace, "-f", "-qqq", "-o", os.DevNull, "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + fault}
}
