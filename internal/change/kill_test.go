//go:build unix

package change

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

const killVariable = "POSTRIDER_TEST_KILL"

// TestKilled: a process that dies at any step leaves each file whole, the old or the new one. Before the next server starts all are old or
// all are new, and the next change goes through and leaves nothing behind.
func TestKilled(t *testing.T) {
	if at := os.Getenv(killVariable); at != "" {
		n, _ := strconv.Atoi(at)
		f := Files{Path: os.Getenv(killVariable + "_DIR")}
		f.step = func() {
			if n--; n == 0 {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		if _, err := f.Apply(t.Context(), both); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, dir := folder(t)
	if _, err := f.Apply(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	after := map[string]string{"a.conf": read(t, filepath.Join(dir, "a.conf")), "b.conf": read(t, filepath.Join(dir, "b.conf"))}
	killed, was, is := 0, 0, 0
	for at := 1; at < 30; at++ {
		f, dir := folder(t)
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killVariable+"="+strconv.Itoa(at), killVariable+"_DIR="+dir)
		out, err := cmd.CombinedOutput()
		if err == nil {
			break // it came to its end
		}
		if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%v: %s", err, out)
		}
		killed++
		for name, old := range town {
			switch read(t, filepath.Join(dir, name)) {
			case old:
				was++
			case after[name]:
				is++
			default:
				t.Errorf("step %d: %s is neither the old nor the new one", at, name)
			}
		}
		if at%2 == 0 { // else the next change does it
			if err := Recover(t.Context(), dir); err != nil {
				t.Errorf("step %d: %v", at, err)
			}
			a, b := read(t, filepath.Join(dir, "a.conf")), read(t, filepath.Join(dir, "b.conf"))
			if (a == town["a.conf"]) != (b == town["b.conf"]) {
				t.Errorf("step %d: half of a change is left", at)
			}
		}
		if _, err := f.Apply(t.Context(), func(s *conf.Settings) ([]*conf.Edit, error) {
			if s.Book().Accounts["bob@mail.test"] != nil {
				return both(s)
			}
			return s.RenameAccount("alice@mail.test", "al@mail.test", nil)
		}); err != nil {
			t.Errorf("step %d: the next change: %v", at, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != len(town) {
			t.Errorf("step %d: left behind: %v", at, entries)
		}
	}
	if killed < 6 || was == 0 || is == 0 {
		t.Errorf("killed %d times, %d old files, %d new ones: this tests nothing", killed, was, is)
	}
}

// TestRecoverKeepsHands: what somebody has written between a crash and what undoes it stays.
func TestRecoverKeepsHands(t *testing.T) {
	_, dir := folder(t)
	a, b := filepath.Join(dir, "a.conf"), filepath.Join(dir, "b.conf")
	beside := func(name string) string { return filepath.Join(dir, "."+name+".new") }
	// a.conf is replaced, and b.conf was not yet when it happened.
	p := &publication{folder: dir}
	for _, name := range []string{a, b} {
		e := &conf.Edit{File: name, Was: []byte(town[filepath.Base(name)]), Text: []byte("{} // new\n")}
		if err := p.prepare(e, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.writeDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.texts[0].exchange(func() {}); err != nil {
		t.Fatal(err)
	}
	p.disk.Close()
	hand := "{} // by hand\n"
	write(t, b, hand)
	if err := Recover(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	untouched(t, dir, map[string]string{"b.conf": hand})
	for _, left := range []string{beside("a.conf"), beside("b.conf"), filepath.Join(dir, journalName)} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s is left", left)
		}
	}
	// A journal that is none is in nobody's way for longer than it takes to say so.
	write(t, filepath.Join(dir, journalName), "x")
	if err := Recover(t.Context(), dir); err == nil {
		t.Error("a journal that cannot be read was believed")
	}
}
